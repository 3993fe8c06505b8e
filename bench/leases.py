"""Leases: exact CPUs held by one holder, as an advisory file lock per CPU that all users of the host share.

The kernel drops a lock when its holder dies, however it dies. A lock belongs to the open file, which a forked child
would share and so keep alive; therefore the descriptors are closed in every child, by a fork handler or by exec.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from bench.errors import Unavailable, UsageError

try:
    import fcntl
except ImportError:  # Windows: importable, and says so when it is used
    fcntl = None  # type: ignore[assignment]  # Windows has no fcntl

FOLDER = Path("/tmp/forkbench-leases")
"""The folder of the locks; not under `TMPDIR`, which differs between users and would let two of them hold one CPU."""

POLL_S = 0.05
"""How long a waiting holder pauses between two tries, on average, in seconds."""

_GUARD = threading.RLock()
"""Held while descriptors are opened and closed, and while this process forks: a child knows all that it inherited."""

_HELD: set[Lease] = set()


@dataclass(frozen=True)
class Holder:
    """The holder of a CPU, as it describes itself; `since` is in seconds since the epoch."""

    cpu: int
    pid: int
    holder: str
    since: float


class Lease:
    """CPUs held until `release`, the end of its `with` block, or the end of this process."""

    def __init__(self, descriptors: dict[int, int]) -> None:
        self.cpus = tuple(sorted(descriptors))
        self._descriptors = descriptors
        _HELD.add(self)

    @property
    def held(self) -> bool:
        """Whether this process holds it: no longer once released, and never in a forked child."""
        return bool(self._descriptors)

    def release(self) -> None:
        """Release the CPUs; a second call does nothing."""
        with _GUARD:
            _HELD.discard(self)
            _unlock(self._descriptors)

    def _forget(self) -> None:
        """Close the descriptors without unlocking them: the lock is the parent's."""
        while self._descriptors:
            with suppress(OSError):
                os.close(self._descriptors.popitem()[1])

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _after_fork_in_child() -> None:
    for lease in list(_HELD):
        lease._forget()
    _HELD.clear()
    _GUARD.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_GUARD.acquire, after_in_parent=_GUARD.release, after_in_child=_after_fork_in_child)


@contextmanager
def lease_cpus(
    count: int,
    *,
    among: Iterable[int],
    timeout_s: float,
    holder: str,
    folder: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[int, ...]]:
    """Hold `count` CPUs of this host exclusively for the duration of the block.

    Args:
        count: how many; all of them or none are held.
        among: the ids to choose from.
        timeout_s: how long to wait for CPUs that others hold; 0 tries once.
        holder: a name for the holder, which `holders` shows.
        folder: the folder of the locks; `None` means the one that all users of this host share.
        clock: returns the time in seconds.
        sleep: waits for a number of seconds.

    Raises:
        Unavailable: if this host could never grant `count`, or not in time.
        UsageError: if `count` is less than 1.
    """
    ids = sorted(set(among))
    _check_count(count, ids)
    until = clock() + timeout_s
    # A generator of its own: after a program's seed, or a fork, two waiting holders would draw the same numbers from
    # the global one, and collide at every try.
    pause = random.Random()
    while (lease := _try(count, ids, holder, folder or FOLDER)) is None:
        if clock() >= until:
            raise Unavailable(_held_by_others(count, ids, timeout_s, folder or FOLDER))
        sleep(POLL_S * (0.5 + pause.random()))
    with lease:
        yield lease.cpus


def try_lease(cpus: Iterable[int], *, holder: str, folder: Path | None = None) -> Lease | None:
    """Hold exactly these CPUs; return `None` at once, holding none of them, if another process holds one.

    Raises:
        Unavailable: if no lock can be taken at all: none on this platform, no access to the folder.
    """
    ids = sorted(set(cpus))
    return _try(len(ids), ids, holder, folder or FOLDER)


def holders(folder: Path | None = None) -> list[Holder]:
    """List who holds CPUs of this host, by CPU.

    Raises:
        Unavailable: if the folder is there and cannot be read.
    """
    _check_platform()
    try:
        place = _open_folder(folder or FOLDER)
    except FileNotFoundError:
        return []
    try:
        cpus = sorted(int(found[1]) for name in os.listdir(place) if (found := re.fullmatch(r"cpu(\d+)", name)))
        return [one for cpu in cpus if (one := _holder_of(place, cpu)) is not None]
    finally:
        os.close(place)


def _check_platform() -> None:
    if fcntl is None:
        raise Unavailable("leases need file locks (flock), which this platform lacks; run on Linux, for example in WSL")


def _check_count(count: int, ids: list[int]) -> None:
    if count < 1:
        raise UsageError(f"{count} CPUs cannot be leased; ask for 1 or more")
    if count > len(ids):
        raise Unavailable(f"{count} CPUs asked for, and there are {len(ids)} to lease; ask for fewer")


def _held_by_others(count: int, ids: list[int], timeout_s: float, folder: Path) -> str:
    others = [f"CPU {one.cpu} by {one.holder} (pid {one.pid})" for one in holders(folder) if one.cpu in ids]
    return (
        f"{count} of the CPUs {', '.join(map(str, ids))} did not become free in {timeout_s:g} s; "
        f"held: {', '.join(others) or 'none now'}. Wait for these, or allow more time"
    )


def _try(count: int, ids: list[int], holder: str, folder: Path) -> Lease | None:
    """Lock the first free CPUs in order of their ids, and stop as soon as too few are left.

    Of two holders that want all of the same CPUs the one that locks the first gets all. Where each could end up with a
    part, both unlock theirs and try again at random times.
    """
    _check_platform()
    with _GUARD:
        place = _made_folder(folder)
        taken: dict[int, int] = {}
        try:
            for position, cpu in enumerate(ids):
                if len(taken) == count or len(taken) + len(ids) - position < count:
                    break
                if (descriptor := _locked(place, cpu)) is not None:
                    taken[cpu] = descriptor
                    _write_holder(descriptor, holder)
            if len(taken) == count:
                kept, taken = taken, {}
                return Lease(kept)
            return None
        finally:
            _unlock(taken)
            os.close(place)


def _unlock(descriptors: dict[int, int]) -> None:
    # Unlocked, not only closed: a child that was forked without Python's fork handlers may share the open file.
    while descriptors:
        _, descriptor = descriptors.popitem()
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        with suppress(OSError):
            os.close(descriptor)


def _made_folder(folder: Path) -> int:
    try:
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            folder.chmod(0o1777)  # whatever the umask: all users of the host share it, none removes another's file
    except OSError as error:
        raise Unavailable(f"cannot make {folder} for the CPU leases: {error.strerror}") from None
    return _open_folder(folder)


def _open_folder(folder: Path) -> int:
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unavailable(f"cannot use {folder} for the CPU leases: {error.strerror}") from None
    about = os.fstat(place)
    if about.st_uid != os.geteuid() and not about.st_mode & stat.S_ISVTX:
        os.close(place)
        raise Unavailable(f"{folder} belongs to another user, who could swap the CPU leases in it; have it removed")
    return place


def _locked(place: int, cpu: int) -> int | None:
    """Return the descriptor of the CPU's locked file; `None` if another process holds it."""
    while True:
        descriptor = _opened(place, f"cpu{cpu}")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise Unavailable(f"cannot lock CPU {cpu}: {error.strerror}") from None
            return None
        if _is_current(place, f"cpu{cpu}", descriptor):
            return descriptor
        os.close(descriptor)  # the folder was cleaned between open and lock: the locked file is no longer in it


def _is_current(place: int, name: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=place, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _opened(place: int, name: str) -> int:
    # Made beside and linked, never O_CREAT on the name itself: another user meets it only with its final mode, and
    # Linux (fs.protected_regular) refuses O_CREAT on the file of another user in a sticky folder, though it exists.
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(name, flags, dir_fd=place)
        except FileNotFoundError:
            _create(place, name)
            descriptor = os.open(name, flags, dir_fd=place)
    except OSError as error:
        raise Unavailable(f"cannot open the lease of {name}: {error.strerror}; have its folder removed") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unavailable(f"the lease of {name} is no file; have its folder removed")
    return descriptor


def _create(place: int, name: str) -> None:
    beside = f".{name}.{secrets.token_hex(8)}"
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=place)
    try:
        os.fchmod(descriptor, 0o666)
        with suppress(FileExistsError):
            os.link(beside, name, src_dir_fd=place, dst_dir_fd=place)
    finally:
        os.close(descriptor)
        os.unlink(beside, dir_fd=place)


def _write_holder(descriptor: int, holder: str) -> None:
    text = json.dumps({"pid": os.getpid(), "holder": holder, "since": time.time()})
    with suppress(OSError):  # a full disk: the lock holds nevertheless
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _holder_of(place: int, cpu: int) -> Holder | None:
    try:
        descriptor = os.open(f"cpu{cpu}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=place)
    except OSError:
        return None
    try:
        text = os.pread(descriptor, 4096, 0)
        # A release empties the file, so that only the file of a dead holder is ever locked to find out.
        return _parsed(cpu, text) if text and not _free(descriptor) else None
    except OSError:  # no file
        return None
    finally:
        os.close(descriptor)


def _free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _parsed(cpu: int, text: bytes) -> Holder | None:
    try:
        data = json.loads(text)
        return Holder(cpu, int(data["pid"]), str(data["holder"]), float(data["since"]))
    except (ValueError, KeyError, TypeError):
        return None
