"""The marks that pytest leaves for the supervisor, and the file by which the supervisor says what was judged.

A mark is a line of JSON, `[event, session, worker, ...]`. They are appended as they come, by every process that runs
tests. Nothing of this is part of the records.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.process.agreed import COMPLAINTS

ORDERS = "orders"
JUDGED = "judged"
SKIPPED_FILES = "skipped-files"
KILLED = "killed"
WORKERS = "workers"
"""Files in the shared folder: what pytest has to know, what was judged before, files that end their interpreter; of
pytest-xdist the tests whose workers the supervisor ended, and the workers' pids."""


@dataclass(frozen=True)
class Island:
    """The folder that the supervisor shares with the pytest of one attempt at the command."""

    folder: Path
    attempt: int = 1

    @property
    def marks(self) -> Path:
        """The file of this attempt's marks."""
        return self.folder / f"marks-{self.attempt}"

    @property
    def complaints(self) -> Path:
        """The file to which resource trackers append what they complain of."""
        return self.folder / COMPLAINTS

    def crash_file(self, pid: int) -> Path:
        """Return the file into which the interpreter of this pid dumps its stacks should it crash."""
        return self.folder / f"crash-{pid}"


def orders_of(marks: Path) -> dict[str, Any]:
    """Return what the supervisor says: its pid, the deadline of a test, whether what is left behind is a failure."""
    try:
        found: dict[str, Any] = json.loads((marks.parent / ORDERS).read_text())
    except (OSError, ValueError):
        return {"supervisor": 0, "deadline_s": None, "strict": False}
    return found


class Marks:
    """Appends marks to a file, though the program under test closes its descriptor or removes the file's folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._inode = -1

    def write(self, event: str, *fields: Any) -> None:
        """Append a mark in one write; where that fails, the test at hand can only be less well known."""
        line = json.dumps((event, *fields), separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
        with contextlib.suppress(OSError):
            os.write(self._open(), line)

    def _open(self) -> int:
        try:
            if self._descriptor >= 0 and os.fstat(self._descriptor).st_ino == self._inode:
                return self._descriptor
        except OSError:  # the program has closed it
            pass
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._inode = os.fstat(self._descriptor).st_ino
        return self._descriptor


class MarkReader:
    """Reads the marks of one attempt as they come; its descriptor outlives the file's name."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._rest = b""

    def read(self) -> Iterator[list[Any]]:
        """Yield the marks that were appended since the last call."""
        while data := os.read(self._descriptor, 1 << 20):
            *whole, self._rest = (self._rest + data).split(b"\n")
            for line in whole:
                with contextlib.suppress(ValueError):
                    if isinstance(found := json.loads(line), list) and len(found) > 2:
                        yield found

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@dataclass
class Judged:
    """What earlier attempts have judged, by session: how often each test, how many failed, files that are left out."""

    tests: dict[str, Counter[str]] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    files: dict[str, set[str]] = field(default_factory=dict)

    def add(self, session: str, nodeid: str, failed: int) -> None:
        """Add a judged test, with the number of its failed phases."""
        self.tests.setdefault(session, Counter())[nodeid] += 1
        self.failed[session] = self.failed.get(session, 0) + failed

    def leave_out(self, session: str, nodeid: str) -> None:
        """Add a file that is not to be collected again."""
        self.files.setdefault(session, set()).add(nodeid)
        self.failed[session] = self.failed.get(session, 0) + 1

    def save(self, folder: Path) -> None:
        """Write it for the pytest of the next attempt, in a folder that may have been removed meanwhile."""
        folder.mkdir(parents=True, exist_ok=True)
        tests = {name: dict(found) for name, found in self.tests.items()}
        files = {name: sorted(found) for name, found in self.files.items()}
        text = json.dumps({"tests": tests, "failed": self.failed, "files": files})
        (folder / JUDGED).write_text(text, encoding="utf-8", errors="backslashreplace")

    @staticmethod
    def load(folder: Path) -> Judged:
        """Read what the supervisor wrote; nothing where it has written nothing."""
        try:
            found = json.loads((folder / JUDGED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return Judged()
        tests = {name: Counter(counts) for name, counts in found["tests"].items()}
        return Judged(tests, found["failed"], {name: set(files) for name, files in found["files"].items()})


def append_name(folder: Path, file: str, name: str) -> None:
    """Append a name to a list that processes of one attempt share."""
    with contextlib.suppress(OSError), (folder / file).open("a", encoding="utf-8", errors="backslashreplace") as to:
        to.write(json.dumps(name) + "\n")


def names_in(folder: Path, file: str) -> list[str]:
    """Return the names of such a list."""
    try:
        lines: Iterable[str] = (folder / file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [json.loads(line) for line in lines]
