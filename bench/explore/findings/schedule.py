"""Schedules as files hold them: each step by what is done, to what, and on which line; and the files themselves.

The number of a step means nothing on another Python, where one operation may take a step more. So a step is an
*anchor*: lane, kind of operation, label of the object, part and line, and `nth`, its position among identical steps of
the same lane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bench.called import command_name
from bench.errors import UsageError
from bench.explore.model import killing, preemptions
from bench.explore.search.shrinking import depth, preempted_before

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any, Protocol

    from bench.explore.model import Op, Trace
    from bench.values import Json

    class Names(Protocol):
        """What the numbers of a trace stand for; empty where a number stands for nothing (yet)."""

        def lane(self, number: int) -> str:
            """Return the name of a lane."""

        def object(self, number: int) -> str:
            """Return an object's label."""

        def part(self, number: int, part: int) -> int:
            """Return a part of an object as the user knows it: of an array the index."""

        def place(self, number: int) -> str:
            """Return a place as `file:line`."""


VERSION = 1
"""The version of schedule files that this code writes, and the newest that it reads."""

KILLED = "killed"
"""The operation of an anchor at which its lane is killed from outside."""


class Anchor(NamedTuple):
    """A step of a schedule.

    `nth` is its position, from 1, among identical steps of its lane; `saw`, the value it saw, is for the reader alone.
    """

    lane: str
    op: str
    object: str
    part: int
    at: str
    nth: int = 1
    saw: str = ""

    @property
    def like(self) -> tuple[str, str, str, int, str]:
        """What identical steps have in common. Of the file only the name counts, which is the same on other hosts."""
        return self.lane, self.op, self.object, self.part, self.at.replace("\\", "/").rpartition("/")[2]


def anchor_of(choice: int, op: Op, names: Names) -> Anchor:
    """Return the anchor of an operation that a choice of a plan leads to, with `nth` 1; see `numbered`."""
    if choice < 0:
        return Anchor(names.lane(killing(choice)), KILLED, "", -1, "")
    part = names.part(op.object, op.part)
    return Anchor(names.lane(choice), op.kind, names.object(op.object), part, names.place(op.place))


def numbered(anchors: Sequence[Anchor]) -> tuple[Anchor, ...]:
    """Return the anchors with `nth` counted: identical steps of each lane are numbered."""
    seen: dict[tuple[object, ...], int] = {}
    done = []
    for one in anchors:
        seen[one.like] = seen.get(one.like, 0) + 1
        done.append(one._replace(nth=seen[one.like]))
    return tuple(done)


def witness(trace: Trace, names: Names, saw: Sequence[str] = ()) -> dict[str, Json]:
    """Return what a record holds of a schedule: all that its story, its file and its replay need.

    Args:
        trace: the schedule.
        names: what its numbers stand for.
        saw: for each step the value it saw, in words.
    """
    lanes = [killing(step.lane) if step.lane < 0 else step.lane for step in trace.steps]
    steps: list[Json] = []
    for number, step in enumerate(trace.steps):
        one = anchor_of(step.lane, step.op, names)
        steps.append([lanes[number], one.op, one.object, one.part, one.at, saw[number] if number < len(saw) else ""])
    waits: list[Json] = [[lane, *anchor_of(lane, op, names)[1:5]] for lane, op in sorted(trace.pending.items())]
    last = max([*lanes, *trace.pending], default=-1)
    return {
        "lane_names": [names.lane(number) for number in range(last + 1)],
        "lanes": list(trace.lanes),
        "steps": steps,
        "pending": waits,
        "preempted": list(preempted_before(trace.steps)),
        "preemptions": preemptions(trace.steps),
        "depth": depth(trace),
    }


def anchors_of(witness: Mapping[str, Any]) -> tuple[Anchor, ...]:
    """Return the anchors of a witness, as a record holds it; empty where it has no steps."""
    names = witness.get("lane_names") or ()
    return numbered(
        [
            Anchor(str(names[lane]), str(op), str(label), int(part), str(at), saw=str(saw))
            for lane, op, label, part, at, saw in witness.get("steps") or ()
        ]
    )


@dataclass(frozen=True)
class Schedule:
    """A schedule with what it takes to run it again.

    `root` and `module` say how to import the target, `file` is its path from `root`, and `pythonpath` what else has to
    be on the path. `preemptions` and `depth` are those of the schedule; `strategy` and `seed` found it in `cell`.
    """

    target: str
    module: str
    root: str | None
    file: str
    method: str
    python: str
    outcome: Mapping[str, str]
    steps: tuple[Anchor, ...]
    pythonpath: tuple[str, ...] = ()
    strategy: str = ""
    seed: int = 0
    preemptions: int = 0
    depth: int = 0
    cell: str = "local"
    bench: str = ""

    @property
    def name(self) -> str:
        """The name of the target within its module."""
        return self.target.partition(":")[2]

    @property
    def file_name(self) -> str:
        """The name of its file: the same for the same finding, so that finding it again replaces the file.

        The record that it is made of may be written by hostile code in a container: no character of the name leads out
        of the folder.
        """
        import hashlib
        import re

        identity = "\n".join([self.root or "", self.target, self.cell, self.method, self.outcome["key"]])
        where = self.method if self.cell == "local" else self.cell
        short = re.sub(r"[^\w.+-]", "_", f"{self.module.rpartition('.')[2]}.{self.name}-{where}")
        return f"{short}-{hashlib.sha256(identity.encode('utf-8', 'replace')).hexdigest()[:8]}.jsonl"


def relative_to(root: str | None, path: str) -> str:
    """Return a path relative to `root` if it is below it; any other, and without a root, as it is."""
    return path[len(root) + 1 :] if root and path.startswith((f"{root}/", f"{root}\\")) else path


def dump(schedule: Schedule) -> str:
    """Return the text of a schedule's file."""
    import json

    head = {
        "v": VERSION,
        "type": "schedule",
        "target": schedule.target,
        "file": schedule.file,
        "root": schedule.root,
        "module": schedule.module,
        "pythonpath": list(schedule.pythonpath),
        "method": schedule.method,
        "python": schedule.python,
        "outcome": dict(schedule.outcome),
        "strategy": schedule.strategy,
        "seed": schedule.seed,
        "preemptions": schedule.preemptions,
        "depth": schedule.depth,
        "cell": schedule.cell,
        "steps": len(schedule.steps),
        "bench": schedule.bench,
    }
    lines = [head, *(one._asdict() for one in schedule.steps)]
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines)


def write(schedule: Schedule, folder: Path) -> Path:
    """Write a schedule into a folder, whole or not at all; return its path."""
    import os

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / schedule.file_name
    beside = folder / f".{schedule.file_name}.{os.getpid()}"
    beside.write_text(dump(schedule), encoding="utf-8", errors="backslashreplace")
    beside.replace(path)
    return path


def read(path: Path) -> Schedule:
    """Read a schedule's file.

    Raises:
        UsageError: if it cannot be read, is no schedule, is of a newer version, or is not whole: the steps that are
            missing cannot be guessed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; give the file of a schedule") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no schedule; give a file that {command_name()} explore wrote") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> Schedule:
    """Read the text of a schedule's file; `where` names it in errors.

    Raises:
        UsageError: as `read` does.
    """
    rows = text.split("\n")
    head = _object(rows[0], f"{where} is no schedule; give a file that {command_name()} explore wrote")
    if head.get("type") != "schedule":
        raise UsageError(f"{where} is no schedule; give a file that {command_name()} explore wrote")
    version = head.get("v")
    if type(version) is not int or version > VERSION:
        raise UsageError(f"{where}: a schedule of version {version!r}; this forkbench reads up to {VERSION}: upgrade")
    try:
        anchors = [_anchor(row, f"{where}, line {number}") for number, row in enumerate(rows[1:], 2) if row.strip()]
        if rows[-1] or len(anchors) != head.get("steps", len(anchors)):
            raise UsageError(f"{where} is torn: it ends before its last step; explore again")
        return _schedule(head, tuple(anchors))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{where}: a malformed schedule: {type(error).__name__} {error}") from None


def _object(row: str, otherwise: str) -> dict[str, Any]:
    import json

    try:
        found = json.loads(row)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(otherwise)
    return found


def _anchor(row: str, where: str) -> Anchor:
    found = _object(row, f"{where}: not a step; the file is torn or was edited: explore again")
    return Anchor(
        str(found["lane"]),
        str(found["op"]),
        str(found.get("object", "")),
        int(found.get("part", -1)),
        str(found.get("at", "")),
        int(found.get("nth", 1)),
        str(found.get("saw", "")),
    )


def _schedule(head: Mapping[str, Any], anchors: tuple[Anchor, ...]) -> Schedule:
    outcome = head["outcome"]
    root = head.get("root")
    return Schedule(
        str(head["target"]),
        str(head["module"]),
        None if root is None else str(root),
        str(head["file"]),
        str(head["method"]),
        str(head["python"]),
        {name: str(outcome[name]) for name in ("key", "kind", "text")},
        anchors,
        tuple(map(str, head.get("pythonpath") or ())),
        str(head.get("strategy", "")),
        int(head.get("seed", 0)),
        int(head.get("preemptions", 0)),
        int(head.get("depth", 0)),
        str(head.get("cell", "local")),
        str(head.get("bench", "")),
    )
