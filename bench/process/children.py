"""Patches that journal the processes which a program starts past `multiprocessing`, and how they end.

These are forks by `os.fork`, and other programs: by `subprocess`, `os.posix_spawn`, `os.system` and what comes down to
one of them. How one ended is known to whoever collects its status, so what collects statuses is patched as well.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys

TYPE_CHECKING = False  # as type checkers know it: this is imported by each process of a sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, TypeAlias

    Record: TypeAlias = Callable[..., None]
    Where: TypeAlias = Callable[[], str | None]

_OURS = ("bench.explore.", "bench.process.", "bench.repeat.", "bench.stress.")
_SHOWN = 120
"""Characters of a command that are journalled."""


def patch(record: Record, where: Where) -> None:
    """Patch this process to journal what it starts past `multiprocessing`, and the statuses that it collects.

    Args:
        record: appends an event to the journal.
        where: returns the user's innermost line.
    """
    for name in ("fork", "forkpty"):
        _replace(os, name, _forking(record, where))
    for name in ("execv", "execve"):
        _replace(os, name, _executing(record))
    for name in ("posix_spawn", "posix_spawnp"):
        _replace(os, name, _spawning(record, where, lambda arguments: arguments[0]))
    _replace(os, "system", _running(record, where))
    for name in ("wait", "waitpid", "wait3", "wait4"):
        _replace(os, name, _collecting(record))
    _replace(os, "waitid", _collecting_by_id(record))
    _replace(os, "kill", _signalling(record))
    _replace(os, "killpg", _signalling_groups(record))
    try:
        import _posixsubprocess
    except ImportError:  # not on Windows
        return
    _replace(_posixsubprocess, "fork_exec", _spawning(record, where, lambda arguments: b" ".join(_bytes(arguments[0]))))
    atexit.register(_collect_dropped)
    library = sys.modules.get("subprocess")
    if library is not None and hasattr(library, "_fork_exec"):  # it holds the function by a name of its own
        vars(library)["_fork_exec"] = _posixsubprocess.fork_exec


def _collect_dropped() -> None:
    """Have `subprocess` collect the programs whose objects were dropped before they ended, while there is a journal."""
    if (library := sys.modules.get("subprocess")) is not None:
        vars(library)["_cleanup"]()


def _bytes(command: Any) -> list[bytes]:
    return [os.fsencode(part) for part in command]


def _replace(module: Any, name: str, patched: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    if (real := getattr(module, name, None)) is not None:
        setattr(module, name, functools.wraps(real)(patched(real)))


def _caller() -> str:
    """Return the module that called a patched function, scheduling points left out, which may be around it."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (name := str(frame.f_globals.get("__name__"))).startswith("bench.explore.points."):
        frame = frame.f_back
    return "" if frame is None else name


def _is_known(caller: str) -> bool:
    """Return whether a process that a module starts is journalled otherwise, or none of the program's."""
    return caller.startswith(("multiprocessing.", *_OURS))


def _forking(record: Record, where: Where) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        def fork() -> Any:
            found = real()
            pid = found[0] if isinstance(found, tuple) else found
            if pid and not _is_known(_caller()):
                record("forked", child=pid, where=where())
            return found

        return fork

    return patched


def _executing(record: Record) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        def execute(*arguments: Any) -> Any:
            record("executed", done=True)
            try:
                real(*arguments)
            except BaseException:
                record("executed", done=False)
                raise

        return execute

    return patched


def _spawning(
    record: Record, where: Where, command: Callable[[tuple[Any, ...]], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        def spawn(*arguments: Any, **named: Any) -> Any:
            pid = real(*arguments, **named)
            if pid and not _is_known(_caller()):
                shown = os.fsdecode(command(arguments) if arguments else named.get("path", ""))
                record("spawned", child=pid, name=shown[:_SHOWN], where=where())
            return pid

        return spawn

    return patched


def _running(record: Record, where: Where) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        def system(command: Any) -> Any:
            status = real(command)
            if (code := _code_of(status)) is not None:
                record("ran", name=os.fsdecode(command)[:_SHOWN], code=code, where=where())
            return status

        return system

    return patched


def _collecting(record: Record) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        def wait(*arguments: Any) -> Any:
            found = real(*arguments)
            # What `multiprocessing` collects of its own children, the patch of their `poll` journals.
            if found[0] and not _caller().startswith(("multiprocessing.popen_fork", *_OURS)):
                code = _code_of(found[1])
                if code is not None:
                    record("reaped", child=found[0], code=code)
            return found

        return wait

    return patched


def _collecting_by_id(record: Record) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        def waitid(kind: int, number: int, options: int) -> Any:
            found = real(kind, number, options)
            if found is not None and not options & os.WNOWAIT:
                if found.si_code == os.CLD_EXITED:
                    record("reaped", child=found.si_pid, code=found.si_status)
                elif found.si_code in (os.CLD_KILLED, os.CLD_DUMPED):
                    record("reaped", child=found.si_pid, code=-found.si_status)
            return found

        return waitid

    return patched


def _signalling(record: Record) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        def kill(pid: int, number: int) -> None:
            # By a method of the object that stands for a program: that end is meant. Of a bare `os.kill` nobody knows.
            if _caller() == "subprocess":
                record("signalled", child=pid, signal=int(number))
            real(pid, number)

        return kill

    return patched


def _signalling_groups(record: Record) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        def killpg(group: int, number: int) -> None:
            # No object that stands for a program has a method for its group, so this is how that is ended.
            if group not in (0, os.getpgrp()):
                record("signalled", child=group, signal=int(number), group=True)
            real(group, number)

        return killpg

    return patched


def _code_of(status: int) -> int | None:
    """Return the exit code that a status of the system means, negative for a signal; `None` if it means no end."""
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        return os.waitstatus_to_exitcode(status)
    return None
