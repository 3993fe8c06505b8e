"""Leases between real processes: never two holders of one CPU, and none left behind by the dead."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from bench.errors import Unavailable
from bench.leases import holders, lease_cpus, try_lease

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

METHODS = multiprocessing.get_all_start_methods()
ROUNDS = 150
PATIENCE_S = 30.0

# The worker of pytest-xdist has a thread besides, and forking beside one warns from 3.12 on. It is meant here.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def context_of(method: str) -> Any:
    return multiprocessing.get_context(method)


def briefly(seconds: float) -> None:
    """Pause a hundredth of what is asked for, to have many collisions in little time."""
    time.sleep(seconds / 100)


def contend(folder: Path, scratch: Path, count: int, barrier: Any) -> None:
    """Hold `count` of two CPUs again and again; while a CPU is held, a file of its name must not exist yet."""
    barrier.wait(PATIENCE_S)
    for _ in range(ROUNDS):
        with lease_cpus(count, among=(0, 1), timeout_s=PATIENCE_S, holder="me", folder=folder, sleep=briefly) as cpus:
            for cpu in cpus:
                os.close(os.open(scratch / str(cpu), os.O_CREAT | os.O_EXCL))
            os.sched_yield()
            for cpu in cpus:
                (scratch / str(cpu)).unlink()


def hold(folder: Path, answer: Connection) -> None:
    """Hold CPU 0, say so, and wait for the end."""
    lease = try_lease([0], holder="holder", folder=folder)
    answer.send(lease is not None)
    time.sleep(PATIENCE_S)


def hold_and_have_a_child(method: str, folder: Path, answer: Connection) -> None:
    """Hold CPU 0, start a child that outlives this process, and wait for the end."""
    with lease_cpus(1, among=(0,), timeout_s=0, holder="parent", folder=folder):
        context = context_of(method)
        here, there = context.Pipe()
        child = context.Process(target=wait_as_orphan, args=(there,))
        child.start()
        here.recv()
        answer.send(child.pid)
        time.sleep(PATIENCE_S)


def wait_as_orphan(answer: Connection) -> None:
    answer.send("here")
    time.sleep(PATIENCE_S)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 2), (1, 2)])
def test_no_cpu_is_held_by_two_processes_at_once(tmp_path: Path, method: str, counts: tuple[int, ...]) -> None:
    context = context_of(method)
    barrier = context.Barrier(len(counts))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    children = [context.Process(target=contend, args=(tmp_path / "l", scratch, count, barrier)) for count in counts]
    for child in children:
        child.start()
    for child in children:
        child.join(PATIENCE_S)
    assert [child.exitcode for child in children] == [0] * len(counts)
    assert holders(tmp_path / "l") == []


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_holder_frees_its_cpu(tmp_path: Path, method: str) -> None:
    context = context_of(method)
    here, there = context.Pipe()
    child = context.Process(target=hold, args=(tmp_path / "l", there))
    child.start()
    assert here.recv() is True
    assert try_lease([0], holder="test", folder=tmp_path / "l") is None
    assert [(one.cpu, one.pid, one.holder) for one in holders(tmp_path / "l")] == [(0, child.pid, "holder")]
    child.kill()
    child.join(PATIENCE_S)
    assert holders(tmp_path / "l") == []  # what it wrote of itself is still there, its lock is not
    with lease_cpus(1, among=(0,), timeout_s=0, holder="test", folder=tmp_path / "l") as cpus:
        assert cpus == (0,)


@pytest.mark.parametrize("method", METHODS)
def test_a_child_does_not_keep_the_cpu_of_its_dead_parent(tmp_path: Path, method: str) -> None:
    context = context_of(method)
    here, there = context.Pipe()
    parent = context.Process(target=hold_and_have_a_child, args=(method, tmp_path / "l", there))
    parent.start()
    orphan = here.recv()
    try:
        assert try_lease([0], holder="test", folder=tmp_path / "l") is None
        parent.kill()
        parent.join()  # without a time limit: under fork that would wait for a pipe's end that the orphan has too
        os.kill(orphan, 0)  # alive
        lease = try_lease([0], holder="test", folder=tmp_path / "l")
        assert lease is not None
        lease.release()
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_bare_fork_neither_keeps_nor_frees_the_lease(tmp_path: Path) -> None:
    with try_lease([0, 1], holder="test", folder=tmp_path / "l") or pytest.fail("not held") as lease:
        pid = os.fork()
        if pid == 0:
            lease.release()  # the parent's: must not be dropped here
            os._exit(0 if not lease.held and try_lease([0], holder="child", folder=tmp_path / "l") is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert lease.held
        assert try_lease([1], holder="test", folder=tmp_path / "l") is None


def test_a_program_that_is_executed_does_not_keep_the_lease(tmp_path: Path) -> None:
    lease = try_lease([0], holder="test", folder=tmp_path / "l")
    assert lease is not None
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as program:
        assert program.stdout is not None
        program.stdout.readline()
        lease._forget()  # as the kernel does when a holder dies: closed, not unlocked
        with lease_cpus(1, among=(0,), timeout_s=0, holder="other", folder=tmp_path / "l"):
            pass


def test_a_holder_that_is_waited_for_is_named(tmp_path: Path) -> None:
    context = context_of("spawn")
    here, there = context.Pipe()
    child = context.Process(target=hold, args=(tmp_path / "l", there))
    child.start()
    here.recv()
    try:
        with (
            pytest.raises(Unavailable, match=rf"CPU 0 by holder \(pid {child.pid}\)"),
            lease_cpus(1, among=(0,), timeout_s=0, holder="test", folder=tmp_path / "l"),
        ):
            pass
    finally:
        child.kill()
        child.join(PATIENCE_S)
