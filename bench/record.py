"""Records: JSON lines, each appended when its event happens, and `run.json`; the formats of version 1.

A crash loses at most the line being written: readers skip a torn last line, and ignore fields that they do not know. A
newer major version is refused by name. `bench/schema/` holds the JSON Schemas.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, cast

from bench import starts
from bench.errors import UsageError
from bench.figures import ExploreFigures, Figures, StressFigures
from bench.observation import Observation, Rate, Tally
from bench.outcomes import Conditions, Grade, Kind, Outcome
from bench.sampling import Mode
from bench.starts import Starts
from bench.values import Json

VERSION = 1
"""The version of the records that this code writes, and the newest that it reads."""

AND_THEN = "; and then: "
"""What stands, in a cell's reason for a failure, before trouble that came after it."""

CellStatus = Literal[
    "pass", "fail", "unknown", "error", "timeout", "oom", "crash", "unavailable", "excluded", "mismatch", "interrupted"
]
LeftKind = Literal[
    "process",
    "thread",
    "shared memory",
    "semaphore",
    "descriptor",
    "signal handler",
    "start method",
    "working folder",
    "umask",
    "environment",
]
TestStatus = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "crashed", "hung", "oom"]


@dataclass(frozen=True)
class Facts:
    """What a cell was granted, as read from inside it; `more` holds the further facts (kernel, cgroup, limits)."""

    cell: str
    python: str
    implementation: str
    method_asked: str | None
    method_granted: str | None
    cpus_asked: int | None
    affinity: tuple[int, ...]
    cpus_os: int | None
    cpus_process: int | None
    cpus_usable: int
    engine: str
    seed: int
    more: Mapping[str, Json] = field(default_factory=dict)

    @property
    def conditions(self) -> Conditions:
        """The facts that can narrow expectations."""
        return Conditions(self.method_granted or "", self.python, self.cpus_usable)

    def mismatch(self) -> str | None:
        """Return in words what was asked for and not granted, or `None`."""
        if self.method_asked is not None and self.method_granted != self.method_asked:
            return f"start method {self.method_granted} where {self.method_asked} was asked for"
        if self.cpus_asked is not None and self.cpus_usable != self.cpus_asked:
            return f"{self.cpus_usable} usable CPUs where {self.cpus_asked} were asked for"
        return None


@dataclass(frozen=True)
class Graded(Tally):
    """A tally with the grade of its outcome and the reason for it; `None` where an expectation raised."""

    grade: Grade | None = None
    why: str = ""


@dataclass(frozen=True)
class Judged(Observation):
    """An observation with its verdict, its outcomes graded; `more` holds the fields that this version does not know."""

    outcomes: tuple[Graded, ...]
    _: KW_ONLY
    verdict: Literal["pass", "fail", "unknown"]
    why: str = ""
    method: str | None = None
    more: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Test:
    """One test of a plain suite; `signature` is the same for failures of one cause.

    `detail` is the text of a failure, or why the test was skipped. `more` holds further fields: of a test that did not
    end `phase`, in which it was, and `stacks`, those of every process of its tree.
    """

    __test__ = False  # pytest collects classes of this name otherwise

    cell: str
    id: str
    status: TestStatus
    seconds: float
    signature: str | None = None
    detail: str | None = None
    more: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Left:
    """One thing that a test left behind: its kind, its name, and the fixture that made it, if one did."""

    kind: LeftKind
    name: str
    fixture: str | None = None


@dataclass(frozen=True)
class Notes:
    """What was noted of one test beside its status.

    `methods` are the start methods that it chose itself, each with the way in which it did. With `strict`, what was
    left behind fails the cell.
    """

    cell: str
    id: str
    left: tuple[Left, ...] = ()
    warnings: tuple[str, ...] = ()
    methods: tuple[tuple[str, str], ...] = ()
    strict: bool = False


@dataclass(frozen=True)
class Lock:
    """What the Pythons of a free-threaded cell say of the global interpreter lock after their imports.

    `off` is how many ended with the lock off; `on` are the modules that switched it on.
    """

    cell: str
    off: int
    on: tuple[str, ...] = ()

    def mismatch(self) -> str | None:
        """Return in words what switched the lock on; `None` if nothing did."""
        return f"the GIL on, by the import of {', '.join(self.on)}, where it was to stay off" if self.on else None


def nothing_but_skipped(tests: Sequence[Test]) -> str:
    """Return the reason why a cell has no verdict where every test was skipped."""
    reasons = list(dict.fromkeys(test.detail for test in tests if test.detail))
    why = f": {reasons[0]}" if reasons else ""
    more = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
    return f"nothing was exercised: every test was skipped{why}{more}"


@dataclass(frozen=True)
class End:
    """The last line of a cell's file."""

    cell: str
    status: CellStatus
    why: str
    seconds: float


RecordLine: TypeAlias = "Facts | Judged | Test | Notes | Lock | Starts | End"


def to_json(line: RecordLine) -> dict[str, Json]:
    """Return the JSON object of a line."""
    match line:
        case Facts():
            body = _facts_to_json(line)
        case Judged():
            body = _judged_to_json(line)
        case Test():
            body = {
                **line.more,
                "type": "test",
                "cell": line.cell,
                "id": line.id,
                "status": line.status,
                "seconds": line.seconds,
                "signature": line.signature,
                "detail": line.detail,
            }
        case Starts():
            body = starts.to_json(line)
        case Notes():
            body = {
                "type": "notes",
                "cell": line.cell,
                "id": line.id,
                "left": [{"kind": one.kind, "name": one.name, "fixture": one.fixture} for one in line.left],
                "warnings": list(line.warnings),
                "methods": [{"method": method, "by": by} for method, by in line.methods],
                "strict": line.strict,
            }
        case Lock():
            body = {"type": "lock", "cell": line.cell, "off": line.off, "on": list(line.on)}
        case End():
            body = {
                "type": "end",
                "cell": line.cell,
                "status": line.status,
                "why": line.why,
                "seconds": line.seconds,
            }
    return {"v": VERSION, **body}


def from_json(data: Mapping[str, Any]) -> RecordLine | None:
    """Return the line of a JSON object; `None` for a type that this version does not know.

    Raises:
        UsageError: if the line is of a newer version, or is not of its type's form.
    """
    version = data.get("v")
    if not isinstance(version, int) or version > VERSION:
        raise UsageError(f"a record of version {version!r}; this forkbench reads up to {VERSION}: upgrade it")
    reader = _READERS.get(str(data.get("type")))
    try:
        return reader(data) if reader else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"a malformed {data.get('type')} record: {type(error).__name__} {error}") from None


def _facts_to_json(line: Facts) -> dict[str, Json]:
    return {
        **line.more,
        "type": "facts",
        "cell": line.cell,
        "python": line.python,
        "implementation": line.implementation,
        "method": {"asked": line.method_asked, "granted": line.method_granted},
        "cpus": {
            "asked": line.cpus_asked,
            "affinity": list(line.affinity),
            "os": line.cpus_os,
            "process": line.cpus_process,
            "usable": line.cpus_usable,
        },
        "engine": line.engine,
        "seed": line.seed,
    }


_FACTS_FIELDS = {"v", "type", "cell", "python", "implementation", "method", "cpus", "engine", "seed"}


def _facts_from_json(data: Mapping[str, Any]) -> Facts:
    cpus, method = data["cpus"], data["method"]
    more = {name: item for name, item in data.items() if name not in _FACTS_FIELDS}
    return Facts(
        data["cell"],
        data["python"],
        data["implementation"],
        method["asked"],
        method["granted"],
        cpus["asked"],
        tuple(cpus["affinity"]),
        cpus["os"],
        cpus["process"],
        cpus["usable"],
        data["engine"],
        data["seed"],
        more,
    )


def _judged_to_json(line: Judged) -> dict[str, Json]:
    return {
        **line.more,
        **({} if line.figures is None else {line.mode: dict(line.figures.fields)}),
        "type": "observation",
        "cell": line.cell,
        "target": line.target,
        "mode": line.mode,
        "method": line.method,
        "samples": line.samples,
        "seconds": line.seconds,
        "outcomes": [_graded_to_json(one) for one in line.outcomes],
        "verdict": line.verdict,
        "why": line.why,
        "warnings": list(line.warnings),
        "limits": list(line.limits),
    }


def _graded_to_json(one: Graded) -> dict[str, Json]:
    return {
        "kind": one.outcome.kind,
        "value": one.outcome.value,
        "detail": dict(one.outcome.detail),
        "count": one.count,
        "rate": {"median": one.rate.median, "least": one.rate.least, "greatest": one.rate.greatest},
        "grade": one.grade,
        "why": one.why,
        "witness": dict(one.witness),
    }


_OBSERVATION_FIELDS = {
    "v",
    "type",
    "cell",
    "target",
    "mode",
    "method",
    "samples",
    "seconds",
    "outcomes",
    "verdict",
    "why",
    "warnings",
    "limits",
}


_FIGURES: Mapping[str, Callable[[Mapping[str, Json]], Figures]] = {"stress": StressFigures, "explore": ExploreFigures}
"""The reader of each mode's figures, which are the field of its name."""


def _judged_from_json(data: Mapping[str, Any]) -> Judged:
    more = {name: item for name, item in data.items() if name not in _OBSERVATION_FIELDS}
    mode = cast("Mode", data["mode"])
    figures = more.pop(mode) if mode in _FIGURES and isinstance(more.get(mode), dict) else None
    return Judged(
        data["target"],
        mode,
        data["cell"],
        data["samples"],
        data["seconds"],
        tuple(map(_graded_from_json, data["outcomes"])),
        tuple(data.get("warnings", ())),
        tuple(data.get("limits", ())),
        None if figures is None else _FIGURES[mode](figures),
        verdict=data["verdict"],
        why=data.get("why", ""),
        method=data.get("method"),
        more=more,
    )


def _graded_from_json(data: Mapping[str, Any]) -> Graded:
    rate, grade = data["rate"], data.get("grade") or None
    return Graded(
        Outcome(cast("Kind", data["kind"]), data.get("value"), data.get("detail") or {}),
        data["count"],
        Rate(rate["median"], rate["least"], rate["greatest"]),
        data.get("witness") or {},
        grade,
        data.get("why", "") if grade else "",
    )


_TEST_FIELDS = {"v", "type", "cell", "id", "status", "seconds", "signature", "detail"}


def _test_from_json(data: Mapping[str, Any]) -> Test:
    more = {name: item for name, item in data.items() if name not in _TEST_FIELDS}
    signature, detail = data.get("signature"), data.get("detail")
    return Test(data["cell"], data["id"], data["status"], data["seconds"], signature, detail, more)


def _notes_from_json(data: Mapping[str, Any]) -> Notes:
    return Notes(
        data["cell"],
        data["id"],
        tuple(Left(one["kind"], one["name"], one.get("fixture")) for one in data.get("left", ())),
        tuple(data.get("warnings", ())),
        tuple((one["method"], one["by"]) for one in data.get("methods", ())),
        bool(data.get("strict", False)),
    )


def _end_from_json(data: Mapping[str, Any]) -> End:
    return End(data["cell"], data["status"], data.get("why", ""), data["seconds"])


_READERS: Mapping[str, Callable[[Mapping[str, Any]], RecordLine]] = {
    "facts": _facts_from_json,
    "observation": _judged_from_json,
    "test": _test_from_json,
    "starts": starts.from_json,
    "notes": _notes_from_json,
    "lock": lambda data: Lock(data["cell"], data["off"], tuple(data["on"])),
    "end": _end_from_json,
}


def dump(line: RecordLine) -> bytes:
    """Return the bytes of one line of a record file, its newline included."""
    return json.dumps(to_json(line), ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"


class Sink(Protocol):
    """A destination of lines."""

    def write(self, line: RecordLine) -> None:
        """Append one line, and hand it to the operating system before this returns."""


class FileSink:
    """Appends to a file, which is created with its folder at the first line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, line: RecordLine) -> None:
        """Append one line in one write, so that lines of several processes do not mix."""
        self.write_bytes(dump(line))

    def write_bytes(self, data: bytes) -> None:
        """Append whole lines that are encoded already, as a cell writes them."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)


class DescriptorSink:
    """Writes to an open descriptor, as a cell does."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, line: RecordLine) -> None:
        """Write one whole line, in as many writes as that takes."""
        data = memoryview(dump(line))
        while data:
            data = data[os.write(self.descriptor, data) :]


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a record file; a torn last line is skipped.

    Raises:
        UsageError: if the file cannot be read, or a line before the last is no JSON object.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError:
            if number == len(lines):  # no newline after it: the writer died in the middle
                return
            raise UsageError(f"{path}, line {number}: not a record; was the file edited?") from None
        if not isinstance(found, dict):
            raise UsageError(f"{path}, line {number}: not a record; was the file edited?")
        yield found


def read_lines(path: Path) -> Iterator[RecordLine]:
    """Yield the lines of a cell's file; those of unknown type are skipped.

    Raises:
        UsageError: if the file cannot be read or holds what this version cannot understand.
    """
    for data in read_objects(path):
        if (line := from_json(data)) is not None:
            yield line


def timestamp() -> str:
    """Return the time, in UTC to the millisecond, as `run.json` has it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def write_run(folder: Path, data: Mapping[str, Json]) -> None:
    """Write `run.json` whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".run.json.{os.getpid()}"
    beside.write_text(json.dumps({"v": VERSION, **data}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(folder / "run.json")


def read_run(folder: Path) -> dict[str, Any]:
    """Read a run's `run.json`.

    Raises:
        UsageError: if the folder holds no run, or one of a newer version.
    """
    path = folder / "run.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} holds no readable run: {path.name}: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("v"), int) or data["v"] > VERSION:
        raise UsageError(f"{path} is not of a version that this forkbench reads (up to {VERSION}): upgrade it")
    return data
