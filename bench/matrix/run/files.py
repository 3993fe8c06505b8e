"""Files of a run beside the records: the cells' logs, lines as cells write them, the facts about the host."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import IO, TYPE_CHECKING

import bench
from bench import record
from bench.errors import BenchError, UsageError
from bench.record import RecordLine

try:
    import fcntl
except ImportError:  # Windows: there no two runs are kept from one folder
    fcntl = None  # type: ignore[assignment]  # Windows has no fcntl

if TYPE_CHECKING:
    from bench.values import Json

LOG_BYTES = 32 << 20
"""How many bytes of a cell's log are kept."""


def read_line(data: bytes) -> RecordLine | None:
    """Read a line that a cell wrote; `None` if it is no record."""
    try:
        found = json.loads(data)
        return record.from_json(found) if isinstance(found, dict) else None
    except (ValueError, BenchError):
        return None


def host_facts() -> dict[str, Json]:
    """Return facts about the host that drives a run, and the versions installed there."""
    from importlib.metadata import PackageNotFoundError, version

    versions: dict[str, Json] = {"forkbench": bench.__version__}
    for name in ("pytest", "docker", "tox"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": versions,
    }


class Log:
    """A cell's log file, which keeps at most `LOG_BYTES`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._left = LOG_BYTES

    def __enter__(self) -> Log:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, data: bytes) -> None:
        """Append to the log; what comes once it is full is dropped."""
        if self._file is None or self._left <= 0:
            return
        self._left -= len(data)
        self._file.write(data if self._left > 0 else data + b"\nbench: the log is full; the rest is dropped\n")


class RunLock:
    """Keeps a second process from writing into a run's folder; the kernel drops the lock when its holder dies.

    Raises:
        UsageError: from `__enter__`, if another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def __enter__(self) -> RunLock:
        if not hasattr(fcntl, "flock"):
            return self
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = (self._folder / ".lock").open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UsageError(f"{self._folder}: this run still goes on; wait for its end, or stop it") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
