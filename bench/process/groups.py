"""The processes of a sample, a fork group or an exploration: started, listened to, and ended."""

from __future__ import annotations

import ast
import contextlib
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.process import journal, segments, tree
from bench.process.agreed import MAIN, REPORT
from bench.process.ended import wait_for_end
from bench.process.folders import environment

_MAIN = str(Path(__file__).with_name("main.py"))

_TRACKER_S = 2.0
"""How long resource trackers may take to clean up once all others are gone."""

_LEAVING_S = 0.5
"""How long the main process of a group may take to end, once it has said all it has to say."""

_FIRST_LOOK_S = 0.1
_ORPHAN_GRACE_S = 1.0
"""How long to wait for the end of all others, and how long one may outlive the main process, as in mode repeat."""

_MOST_STDERR = 4_000


class Main:
    """The main process of a sample or group, below its supervisor.

    Attributes:
        pid: its pid.
        returncode: its exit code, negative for a signal; `None` as long as it is not known to have ended.
    """

    def __init__(self, process: subprocess.Popen[bytes], report: int | None) -> None:
        self._process, self._report, self._heard = process, report, b""
        self.returncode: int | None = None
        self.pid = self._hear() if report is not None else process.pid

    @property
    def supervisor(self) -> int:
        """The process that has adopted whatever it left; where there is none, the main process itself."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit code; `None` if it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end, and return its exit code; `None` if it runs on."""
        if self.returncode is None:
            if self._report is None:
                if wait_for_end(self.pid, timeout_s):
                    self.returncode = self._process.wait()
            elif _is_readable(self._report, timeout_s):
                self.returncode = self._hear()
        return self.returncode

    def is_alone(self, timeout_s: float) -> bool:
        """Return whether all processes below the supervisor end in time, so that nothing is left of them."""
        if self.wait(0) is None or not wait_for_end(self._process.pid, timeout_s):
            return False
        self._process.wait()
        return True

    def close(self) -> None:
        """End the supervisor, below which nothing is left."""
        self._process.kill()
        self._process.wait()
        if self._report is not None:
            os.close(self._report)
            self._report = None

    def _hear(self) -> int:
        """Return the next number that the supervisor reports; where it has none, its own end stands for it."""
        assert self._report is not None
        while b"\n" not in self._heard:
            more = os.read(self._report, 64)
            if not more:
                self.returncode = self._process.wait()
                return self._process.pid if not hasattr(self, "pid") else self.returncode
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return int(line)


def _is_readable(descriptor: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0, math.ceil(timeout_s * 1000))))


def start(main: str, arguments: Sequence[str], folder: Path, seed: int, env: Mapping[str, str] | None = None) -> Main:
    """Start the main process of a sample or group in a session of its own, its output in files.

    Args:
        main: the main module of the mode.
        arguments: for it.
        folder: of the sample or group, where its output goes.
        seed: of the hashes of strings.
        env: what its environment has besides that of all samples and groups.
    """
    safe_path = ["-P"] if sys.version_info >= (3, 11) else []
    supervised = sys.platform == "linux"
    reading, writing = os.pipe() if supervised else (None, None)
    try:
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, *safe_path, _MAIN, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                pass_fds=() if writing is None else (writing,),
                env={
                    **environment(folder, seed),
                    MAIN: main,
                    **(env or {}),
                    **({} if writing is None else {REPORT: str(writing)}),
                },
            )
    except BaseException:
        if reading is not None:
            os.close(reading)
        raise
    finally:
        if writing is not None:
            os.close(writing)
    return Main(process, reading)


def members(main: Main, folder: Path) -> list[tree.Proc]:
    """Return the processes of a sample or group that are alive, wherever they went; its supervisor left out."""
    below = main.supervisor if main.supervisor != main.pid else None
    return tree.find(f"{journal.VARIABLE}={folder}", main.pid, below)


def left_behind(main: Main, folder: Path, known: Collection[int]) -> list[tree.Proc]:
    """Return the processes that outlive the main process of a group which is over.

    Args:
        main: the main process.
        folder: of the group.
        known: pids of those that may; trackers and forkservers may as well.
    """
    if main.wait(_LEAVING_S) is None or main.is_alone(_FIRST_LOOK_S):
        return []
    until = time.monotonic() + _ORPHAN_GRACE_S
    while left := [p for p in members(main, folder) if p.role == "process" and p.pid not in known]:
        if time.monotonic() > until:
            return left
        time.sleep(0.02)
    return []


def end(main: Main, folder: Path) -> None:
    """End all processes of a sample or group; the resource trackers last, once they have cleaned up."""

    def workers() -> list[tree.Proc]:
        return [proc for proc in members(main, folder) if proc.role != "resource tracker"]

    tree.kill_all(workers)
    main.wait(_TRACKER_S)
    if not main.is_alone(_TRACKER_S) and (left := tree.kill_all(lambda: members(main, folder))):
        sys.stderr.write(f"bench: could not end {', '.join(str(proc.pid) for proc in left)}\n")
    main.close()
    segments.remove_left(str(folder))


def stderr(folder: Path) -> str:
    """Return the end of what the processes of a group wrote to their standard error."""
    with contextlib.suppress(OSError):
        return (folder / "stderr").read_text("utf-8", "replace")[-_MOST_STDERR:]
    return ""


class Reader:
    """Reads what has been appended to a journal since the last time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal"
        self._at = 0

    def new(self) -> list[dict[str, Any]]:
        """Return the new lines; one that is not whole yet is left for the next time."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        events = [ast.literal_eval(line.decode("utf-8", "replace")) for line in whole.splitlines()]
        return [event for event in events if event["event"] != "adopted"]  # the supervisor's, of a sample alone
