"""A running container: its output, its end, its stacks when the time limit passes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from bench.matrix.engines.base import Ended, Job, Lines, ended_by_status
from bench.matrix.images.engine import client_errors, one_line

USER = "1000:1000"
PYTHON = "python3"
"""The interpreter of every image, PyPy's too."""

_POLL_S = 0.05
_STACKS_S = 6.0


class Running:
    """A container from before its start to its end."""

    def __init__(self, api: Any, container: str, job: Job, stop: threading.Event) -> None:
        self._api = api
        self._id = container
        self._job = job
        self._stop = stop
        self._closed = threading.Event()
        self._until = 0.0

    def follow(self, lines: Lines, log: Callable[[bytes], None]) -> Ended:
        """Start the container, pass its output on, and return how it ended."""
        if self._stop.is_set():
            return Ended(interrupted=True)
        # The reader starts before the container: should the start fail, removing the container ends the reader.
        threading.Thread(target=self._read, args=(self._attach(), lines, log), daemon=True).start()
        self._api.start(self._id)
        self._until = time.monotonic() + self._job.limits.timeout_s
        try:
            return self._watch(log)
        finally:
            if lines.torn:
                log(b"\nbench: the last record was torn: " + lines.torn + b"\n")

    def _attach(self) -> Any:
        return self._api.attach_socket(self._id, params={"stdout": 1, "stderr": 1, "stream": 1})

    def _read(self, stream: Any, lines: Lines, log: Callable[[bytes], None]) -> None:
        from docker.utils.socket import STDOUT

        try:
            for number, data in frames(stream):
                (lines.feed if number == STDOUT else log)(data)
        except (OSError, ValueError) as error:
            log(f"\nbench: the container's output was cut off: {error}\n".encode())
        finally:
            self._closed.set()

    def _watch(self, log: Callable[[bytes], None]) -> Ended:
        """Wait for the end of the output, and then of the container: the main process may close its streams early."""
        status: int | None = None
        while status is None:
            if self._stop.is_set():
                return self._killed(Ended(interrupted=True))
            if time.monotonic() > self._until:
                stacks = self._stacks()
                log(b"\nbench: the time limit passed; the stacks of every process:\n" + stacks.encode() + b"\n")
                return self._killed(Ended(timed_out=True, stacks=stacks))
            if self._closed.wait(_POLL_S):
                status = self._exit_status()
        state = self._api.inspect_container(self._id)["State"]
        return replace(ended_by_status(status), oom=bool(state.get("OOMKilled")))

    def _exit_status(self) -> int | None:
        """Return the exit status; `None` if the container still runs after a second."""
        from requests.exceptions import ConnectionError as Cut
        from requests.exceptions import ReadTimeout

        try:
            return int(self._api.wait(self._id, timeout=1)["StatusCode"])
        # The library raises either when the time passes; an engine that is gone shows in the next request.
        except (ReadTimeout, Cut):
            return None

    def _killed(self, ended: Ended) -> Ended:
        with contextlib.suppress(api_error()):  # it ended meanwhile
            self._api.kill(self._id)
        self._closed.wait(2.0)
        return ended

    def _stacks(self) -> str:
        """Return the stacks of the container's processes; where it cannot answer, a list of these processes."""
        pieces: list[bytes] = []
        trouble: list[str] = []
        asking = threading.Thread(target=self._ask, args=(pieces.append, trouble.append), daemon=True)
        asking.start()
        asking.join(_STACKS_S)
        if asking.is_alive():
            trouble.append(f"asking took more than {_STACKS_S:g} s")
        text = b"".join(pieces).decode("utf-8", "replace")
        return f"{text}\n(not all stacks: {trouble[0]})\n{self._listing()}" if trouble else text

    def _ask(self, piece: Callable[[bytes], None], trouble: Callable[[str], None]) -> None:
        command = [PYTHON, "-m", "bench.process.stacks"]
        try:
            made = self._api.exec_create(self._id, command, user=USER)["Id"]
            for _, data in frames(self._api.exec_start(made, socket=True)):
                piece(data)
            if status := self._api.exec_inspect(made)["ExitCode"]:
                trouble(f"exit status {status}")
        except client_errors() as error:
            trouble(one_line(error))

    def _listing(self) -> str:
        try:
            top = self._api.top(self._id, ps_args="-eo pid,ppid,stat,wchan:32,args")
        except client_errors() as error:
            return f"(no list of processes either: {one_line(error)})"
        return "\n".join("  ".join(row) for row in [top["Titles"], *(top["Processes"] or ())])


def frames(stream: Any) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces of an attached stream with the descriptor that each was written to, then close the stream."""
    from docker.utils.socket import frames_iter

    try:
        yield from frames_iter(stream, tty=False)  # type: ignore[no-untyped-call]  # the library is untyped here
    finally:
        # The library attaches the response, which owns the connection, to the stream.
        getattr(stream, "_response", stream).close()


def api_error() -> type[Exception]:
    """Return the exception for a request that the engine refuses."""
    from docker.errors import APIError

    return APIError


def not_found() -> type[Exception]:
    """Return the exception for a container that is gone."""
    from docker.errors import NotFound

    return NotFound
