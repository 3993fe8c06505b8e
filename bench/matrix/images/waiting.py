"""Waits that end: a call with a time limit, tasks in threads that can be stopped, a lock between processes."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from bench.errors import Interrupted

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def bounded(call: Callable[[], T], seconds: float) -> T:
    """Return the result of a call, or raise `TimeoutError` after `seconds`; the call then goes on in its thread."""
    answers: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

    def work() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:  # noqa: BLE001 - handed to the caller, whatever it is
            answers.put((None, error))

    threading.Thread(target=work, daemon=True, name="bench-bounded").start()
    try:
        value, error = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer in {seconds:g} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # there is a value where there is no error


def in_threads(tasks: Mapping[K, Callable[[], T]], jobs: int, stop: threading.Event | None = None) -> dict[K, T]:
    """Return the results of tasks, run `jobs` at a time in threads that end with the process.

    Raises:
        Interrupted: if `stop` was set meanwhile.
    """
    waiting: SimpleQueue[K] = SimpleQueue()
    done: SimpleQueue[tuple[K, T]] = SimpleQueue()
    for key in tasks:
        waiting.put(key)

    def work() -> None:
        while stop is None or not stop.is_set():
            try:
                key = waiting.get_nowait()
            except Empty:
                return
            done.put((key, tasks[key]()))

    for _ in range(min(jobs, len(tasks))):
        threading.Thread(target=work, daemon=True, name="bench-image").start()
    results: dict[K, T] = {}
    while len(results) < len(tasks):
        if stop is not None and stop.is_set():
            raise Interrupted("stopped while images were being made; what is done is kept")
        try:
            key, result = done.get(timeout=0.1)
        except Empty:
            continue
        results[key] = result
    return results


_HELD: dict[str, int] = {}
"""The descriptors by which this process holds images, until it ends."""


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of an image against other processes of this host, so that it is made once."""
    import fcntl

    descriptor = _open(name)
    if descriptor is None:
        # Without a lock two processes may both make the image, which costs time and nothing else.
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def hold(tag: str) -> None:
    """Hold an image until this process ends, so that no other one of this host removes it as superseded."""
    import fcntl

    if tag not in _HELD and (descriptor := _open(_use(tag))) is not None:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _HELD[tag] = descriptor


def is_held(tag: str) -> bool:
    """Return whether some process of this host holds an image."""
    import fcntl

    if tag in _HELD:
        return True
    descriptor = _open(_use(tag))
    if descriptor is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _use(tag: str) -> str:
    return f"use-{tag.replace(':', '-')}"


def _open(name: str) -> int | None:
    """Return a descriptor of a lock's file; `None` where it cannot be opened."""
    folder = Path(tempfile.gettempdir(), "forkbench-images")
    try:
        folder.mkdir(mode=0o1777, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o1777)
        return os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError:
        return None
