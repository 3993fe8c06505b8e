"""Kernels on a real directory, with one of its own for each state."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

from bench import actor, deterministic, racy, scenario

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import SynchronizedArray


def _own_folder(state: object) -> str:
    """Make a folder that goes when this process lets go of the state, or ends; copies in other processes keep it."""
    folder = tempfile.mkdtemp(prefix="forkbench-kernel-")
    Finalize(state, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=0)
    return folder


@scenario(racy(1, "one of them created it"))
class ExistsThenCreate:
    """Two processes find that a file does not exist, and both create it, each sure to be the only one.

    Source: CWE-367; the `O_EXCL` of open(2) is there for this.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.created: SynchronizedArray[int] = mp.Array("i", 2)
        self.path = os.path.join(_own_folder(self), "file")

    def create(self, me: int) -> None:
        # A finds none | B finds none, creates it / A creates it
        if not os.path.exists(self.path):
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY))
            self.created[me] = 1

    @actor
    def first(self) -> None:
        """Create the file, if there is none."""
        self.create(0)

    @actor
    def second(self) -> None:
        """Create the file as well, if there is none."""
        self.create(1)

    def result(self) -> int:
        """Count the processes that created the file, and remove it, so that the state is as it was."""
        os.unlink(self.path)
        return sum(self.created[:])


@scenario(deterministic(1, "the system creates it for one of them"))
class ExistsThenCreateFixed(ExistsThenCreate):
    """`O_EXCL` has the system check and create in one step."""

    def create(self, me: int) -> None:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            self.created[me] = 1


CRASHED, ALIVE = b"crashed", b"alive"


@scenario(racy(1, "one took the lock over"))
class StaleLockFile:
    """Two processes find the lock file of one that crashed, and the slower removes the lock that the faster then made.

    Source: Mercurial's lock.py, which breaks stale locks under a lock of their own, lest a valid one be broken.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.holds: SynchronizedArray[int] = mp.Array("i", 2)
        self.path = os.path.join(_own_folder(self), "lock")
        self.left_by_a_crash()

    def left_by_a_crash(self) -> None:
        """Put a lock file there that nobody holds."""
        with open(self.path, "wb") as file:
            file.write(CRASHED)

    def stale(self) -> bool:
        """Return whether the process that made the lock is gone; a lock that is being taken over is not stale."""
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                return os.read(descriptor, len(CRASHED)) == CRASHED
            finally:
                os.close(descriptor)
        return False

    def take_over(self, me: int) -> None:
        # A finds it stale | B finds it stale, removes it, makes its own / A removes B's, makes its own
        if not self.stale():
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(descriptor, ALIVE)
            os.close(descriptor)
            self.holds[me] = 1

    @actor
    def first(self) -> None:
        """Take the lock over, if its holder crashed."""
        self.take_over(0)

    @actor
    def second(self) -> None:
        """Take the lock over as well, if its holder crashed."""
        self.take_over(1)

    def result(self) -> int:
        """Count the holders of the lock, and leave it as a crash would, so that the state is as it was."""
        self.left_by_a_crash()
        return sum(self.holds[:])


@scenario(deterministic(1, "only one at a time judges and breaks"))
class StaleLockFileFixed(StaleLockFile):
    """A stale lock is judged and broken under another lock, which the kernel frees if its holder dies."""

    @contextlib.contextmanager
    def _breaking(self) -> Iterator[None]:
        import fcntl  # not at the top: where there is none, the other kernels can still be imported

        descriptor = os.open(f"{self.path}.break", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def take_over(self, me: int) -> None:
        with self._breaking():
            super().take_over(me)
