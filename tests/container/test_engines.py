from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.leases import holders
from bench.matrix.engines.docker import DockerEngine, labels
from bench.matrix.run import CellLine, Event
from bench.record import Facts
from tests.container.conftest import Case, Place

MIB = 1 << 20
LIMIT_S = 8.0
IN_TIME_S = LIMIT_S + 12.0
"""The time limit of cells that never end, the asking for stacks, the kill and the removal, on a busy machine."""


def assert_clean(place: Place, case: Case) -> None:
    assert case.end.seconds < IN_TIME_S
    assert place.left() == []
    assert holders(place.leases) == []
    assert isinstance(case.lines[0], Facts)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_hang_is_a_timeout_with_every_process_s_stack(place: Place, method: str) -> None:
    case = place.run("python3", "hang.py", cell=place.cell(method), timeout_s=LIMIT_S)
    assert case.end.status == "timeout"
    assert "in wait_for_ever" in case.log
    assert "join" in case.log
    assert case.end.seconds >= LIMIT_S
    assert_clean(place, case)


def test_an_exception_in_a_child_is_a_failure(place: Place) -> None:
    case = place.run("python3", "child_raises.py")
    assert (case.end.status, case.end.why) == ("fail", "exit status 1")
    assert "LookupError: in the child" in case.log
    assert_clean(place, case)


@pytest.mark.parametrize(("program", "name"), [("killed.py", "SIGKILL"), ("segfault.py", "SIGSEGV")])
def test_a_crash_of_the_main_process_names_the_signal(place: Place, program: str, name: str) -> None:
    case = place.run("python3", program)
    assert (case.end.status, case.end.why) == ("crash", f"the main process was killed by {name}")
    assert "before" in case.log
    assert_clean(place, case)


def test_a_program_that_ignores_sigterm_is_killed(place: Place) -> None:
    case = place.run("python3", "ignores_sigterm.py", timeout_s=2)
    assert case.end.status == "timeout"
    assert_clean(place, case)


def test_a_grandchild_is_not_waited_for_and_not_left(place: Place) -> None:
    case = place.run("python3", "orphan.py")
    assert case.end.status == "pass"
    assert "done" in case.log
    assert_clean(place, case)


def test_shared_memory_and_semaphores_of_a_killed_cell_are_gone(place: Place) -> None:
    case = place.run("python3", "holds_shared.py", timeout_s=LIMIT_S)
    assert case.end.status == "timeout"
    _, segment, semaphore = next(line for line in case.log.splitlines() if line.startswith("holds")).split()
    assert semaphore.startswith("sem.mp-")
    assert {segment, semaphore} & set(os.listdir("/dev/shm")) == set()
    assert_clean(place, case)


def test_a_stop_kills_at_once_and_keeps_the_records(place: Place) -> None:
    stop, stopped_at = threading.Event(), list[float]()

    def stop_at_the_facts(event: Event) -> None:
        if isinstance(event, CellLine):
            stopped_at.append(time.monotonic())
            stop.set()

    case = place.run("python3", "ignores_sigterm.py", stop=stop, on_event=stop_at_the_facts)
    assert time.monotonic() - stopped_at[0] < 5
    assert case.end.status == "interrupted"
    assert_clean(place, case)


def test_a_cell_is_pinned_to_exactly_the_leased_cpus(place: Place) -> None:
    case = place.run("python3", "-c", "import os; print('on', os.sched_getaffinity(0))")
    facts = case.lines[0]
    assert isinstance(facts, Facts)
    assert len(facts.affinity) == 1
    assert f"on {{{facts.affinity[0]}}}" in case.log


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_python_of_a_cell_has_its_start_method(place: Place, method: str) -> None:
    code = "import multiprocessing as m; print(m.get_start_method(allow_none=True), m.get_start_method())"
    case = place.run("python3", "-c", code, cell=place.cell(method))
    assert case.end.status == "pass"
    assert case.log.strip() == f"None {method}"
    assert_clean(place, case)


def test_a_command_that_is_not_there_is_trouble(place: Place) -> None:
    case = place.run("no-such-command")
    assert (case.end.status, case.end.why) == ("error", "cannot run no-such-command in the cell (exit status 127)")


ABANDONED = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from bench.cells import parse_cell
from bench.matrix.engines.base import Job, Ready
from bench.matrix.engines.docker import DockerEngine
from bench.matrix.engines.local import LocalEngine
engine = {"docker": DockerEngine, "local": LocalEngine}[sys.argv[2]]()
cell = parse_cell(sys.argv[3])
arguments = ("--cell", cell.name, "--", "python3", "ignores_sigterm.py")
job = Job(sys.argv[4], cell, engine.cpus()[:1], arguments)
tell = lambda line: print("started", flush=True)
engine.run(job, Ready(cell.python, sys.argv[5], "", sys.argv[6] or None), records=tell, log=len, stop=threading.Event())
"""


# Any run that starts meanwhile, such as one of another test, removes what dead ones left: so this one runs by itself.
@pytest.mark.alone
def test_what_a_dead_run_left_is_found_and_removed(place: Place) -> None:
    import bench

    arguments = [
        str(Path(bench.__file__).parent.parent),
        place.name,
        place.cell().name,
        f"test-{place.folder.name}",
        place.ready.where,
        place.ready.cwd or "",
    ]
    with subprocess.Popen([sys.executable, "-c", ABANDONED, *arguments], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"started\n"
        assert place.left()
        owner.send_signal(signal.SIGKILL)
    assert place.left()
    removed = place.engine.clean()
    assert any(place.cell().name in name for name in removed)
    assert place.left() == []


@pytest.mark.container
def test_a_fork_bomb_meets_the_process_limit(container: Place) -> None:
    case = container.run("python3", "fork_bomb.py", pids=32, timeout_s=6)
    assert case.end.status == "timeout"
    assert 10 < case.log.count("python3 fork_bomb.py") <= 32
    assert_clean(container, case)


@pytest.mark.container
def test_too_much_memory_is_its_own_status(container: Place) -> None:
    case = container.run("python3", "memory.py", memory_bytes=96 * MIB)
    assert case.end.status == "oom"
    assert_clean(container, case)


@pytest.mark.container
def test_a_full_shared_memory_is_a_crash_by_sigbus(container: Place) -> None:
    case = container.run("python3", "full_shm.py", shm_bytes=8 * MIB)
    assert (case.end.status, case.end.why) == ("crash", "the main process was killed by SIGBUS")
    assert_clean(container, case)


SHUT_IN = """
import os, socket, pathlib
assert os.getuid() == 1000 == os.getgid()
assert os.getpid() != 1
status = pathlib.Path("/proc/self/status").read_text()
assert "CapEff:\\t0000000000000000" in status and "NoNewPrivs:\\t1" in status
assert [name for _, name in socket.if_nameindex()] in (["lo"], [])
for path in ("/here", "/project/here", os.path.expanduser("~root/here")):
    try:
        open(path, "w")
    except OSError:
        continue
    raise SystemExit(f"could write {path}")
assert not os.path.exists("/var/run/docker.sock")
open("/tmp/there", "w").write("x")
"""


@pytest.mark.container
def test_a_container_is_shut_in(container: Place) -> None:
    case = container.run("python3", "-c", SHUT_IN, shm_bytes=8 * MIB, memory_bytes=256 * MIB, pids=50)
    assert case.end.status == "pass", case.log
    facts = case.lines[0]
    assert isinstance(facts, Facts)
    assert (facts.more["shm_bytes"], facts.more["memory_bytes"], facts.more["pids"]) == (8 * MIB, 256 * MIB, 50)


@pytest.mark.container
def test_cpus_that_the_engine_does_not_have_are_trouble(container: Place) -> None:
    from bench.matrix.engines.base import Job

    job = Job("test", container.cell(), (1000,), ("--cell", container.cell().name, "--", "true"))
    out = list[bytes]()
    ended = container.engine.run(job, container.ready, records=out.append, log=out.append, stop=threading.Event())
    assert ended.error is not None
    assert "1000" in ended.error
    assert out == []


@pytest.mark.container
def test_clean_leaves_what_is_alive_or_not_ours(container: Place) -> None:
    from bench.matrix.engines.base import Job

    engine = container.engine
    assert isinstance(engine, DockerEngine)
    job = Job(f"test-{container.folder.name}", container.cell(), (0,), ())
    mine = labels(job)
    here = mine["org.forkbench.owner"].rsplit(":", 2)[0]
    wanted = {"alive": mine, "dead": {**mine, "org.forkbench.owner": f"{here}:{os.getpid()}:1"}, "another's": {}}
    made = {
        who: engine.client.api.create_container(container.ready.where, ["true"], labels=each)["Id"]
        for who, each in wanted.items()
    }
    try:
        assert len(engine.clean()) == 1
        left = {one["Id"] for one in engine.client.api.containers(all=True)}
        assert {who for who, each in made.items() if each in left} == {"alive", "another's"}
    finally:
        for who in ("alive", "another's"):
            engine.client.api.remove_container(made[who], force=True)
