from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.cells import parse_cell, parse_python
from bench.errors import Interrupted
from bench.matrix.engines import venvs
from bench.matrix.engines.base import Ended, Job, Limits, Ready, Refused
from bench.matrix.engines.local import CELL, OWNER, LocalEngine, environment
from bench.matrix.images import Project
from bench.matrix.install import Install
from bench.process import tree
from bench.process.owners import this_owner

CELL_HERE = parse_cell("py314-spawn-cpu1")
HERE = parse_python(f"{'pypy' if sys.implementation.name == 'pypy' else ''}{sys.version_info[0]}.{sys.version_info[1]}")
FIRST = sorted(os.sched_getaffinity(0))[:1]


@pytest.fixture
def interpreter(tmp_path: Path) -> Ready:
    """Stand in for an environment: a script that is given the arguments of an interpreter, and runs what is in them."""
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\nshift 4\nexec /bin/sh -c "$1"\n')
    script.chmod(0o755)
    return Ready(CELL_HERE.python, str(script))


def run(
    ready: Ready, script: str, *, timeout_s: float = 20.0, stop: threading.Event | None = None, quota: bool = False
) -> tuple[Ended, bytes, list[bytes]]:
    cell = parse_cell("py314-spawn-quota0.5") if quota else CELL_HERE
    log, records = bytearray(), list[bytes]()
    job = Job("unit", cell, tuple(FIRST), (script,), Limits(timeout_s=timeout_s))
    ended = LocalEngine().run(job, ready, records=records.append, log=log.extend, stop=stop or threading.Event())
    return ended, bytes(log), records


def left() -> list[tree.Proc]:
    return [p for p in tree.processes() if tree.environment(p.pid).get(CELL, "").startswith("unit:")]


def test_records_come_by_line_and_the_log_as_it_is(interpreter: Ready) -> None:
    ended, log, records = run(interpreter, "printf 'a\\nb\\nto'; echo said >&2; exit 7")
    assert ended.exit_status == 7
    assert records == [b"a\n", b"b\n"]
    assert log.startswith(b"said\n")
    assert b"the last record was torn: to" in log


def test_the_arguments_pin_to_the_cpus_of_the_job(interpreter: Ready, tmp_path: Path) -> None:
    (tmp_path / "python").write_text('#!/bin/sh\necho "$@"\n')
    assert run(interpreter, "x")[2] == [f"-m bench.inside --pin {FIRST[0]} x\n".encode()]


@pytest.mark.parametrize("number", [9, 11])
def test_a_killed_main_process_has_a_signal(interpreter: Ready, number: int) -> None:
    assert run(interpreter, f"kill -{number} $$")[0].signal == number


def test_much_output_is_read_to_its_end(interpreter: Ready) -> None:
    _, log, records = run(interpreter, "seq 1 50000; seq 1 50000 >&2")
    assert len(records) == 50_000
    assert log.endswith(b"50000\n")


def test_children_in_sessions_of_their_own_are_ended(interpreter: Ready) -> None:
    ended, _, records = run(interpreter, "setsid sleep 600 & setsid -f setsid sleep 600; echo here")
    assert ended.exit_status == 0
    assert ended.seconds < 15
    assert records == [b"here\n"]
    assert left() == []


def test_a_main_process_that_closes_its_streams_runs_on(interpreter: Ready, tmp_path: Path) -> None:
    ended, _, _ = run(interpreter, f"exec 1>&- 2>&-; sleep 0.3; : > {tmp_path}/reached")
    assert ended.exit_status == 0
    assert (tmp_path / "reached").exists()


def test_the_time_limit_kills_what_ignores_signals(interpreter: Ready) -> None:
    ended, log, _ = run(interpreter, "trap '' TERM INT HUP; sleep 600 & sleep 600", timeout_s=0.5)
    assert ended.timed_out
    assert ended.exit_status is None
    assert ended.stacks
    assert "sleep 600" in ended.stacks
    assert b"time limit passed" in log
    assert left() == []


def test_a_stop_that_was_set_before_starts_nothing(interpreter: Ready, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    ended, _, _ = run(interpreter, f": > {tmp_path}/reached", stop=stop)
    assert ended.interrupted
    assert not (tmp_path / "reached").exists()


def test_a_cell_has_a_temporary_folder_of_its_own_that_goes_with_it(interpreter: Ready) -> None:
    _, _, records = run(interpreter, 'touch "$TMPDIR/x"; echo "$TMPDIR"')
    (folder,) = records
    assert not Path(folder.decode().strip()).exists()


def test_a_quota_is_refused(interpreter: Ready) -> None:
    error = run(interpreter, "true", quota=True)[0].error
    assert error is not None
    assert "--engine docker" in error


def test_an_interpreter_that_is_gone_is_trouble(tmp_path: Path) -> None:
    error = run(Ready(CELL_HERE.python, str(tmp_path / "gone")), "true")[0].error
    assert error is not None
    assert "the local engine failed" in error


def test_the_environment_of_a_cell_is_led_by_its_interpreter(tmp_path: Path) -> None:
    job = Job("r", CELL_HERE, (0,), (), environment={"MINE": "1"})
    ready = Ready(CELL_HERE.python, "/env/bin/python")
    found = environment(job, ready, tmp_path, "id", {"PATH": "/bin", "PYTHONPATH": "/elsewhere", "HOME": "/me"})
    assert found["PATH"] == "/env/bin:/bin"
    assert "PYTHONPATH" not in found
    assert (found["HOME"], found["MINE"], found["BENCH_START_METHOD"], found[CELL]) == ("/me", "1", "spawn", "id")


# Any run that starts meanwhile, such as one of another test, removes what dead ones left: so this one runs by itself.
@pytest.mark.alone
def test_clean_ends_processes_of_dead_owners_and_no_others() -> None:
    here = this_owner().rsplit(":", 2)[0]
    owners = {"unit:dead": f"{here}:{os.getpid()}:1", "unit:alive": this_owner()}
    made = {
        name: subprocess.Popen(["sleep", "600"], env={**os.environ, CELL: name, OWNER: owner})
        for name, owner in owners.items()
    }
    try:
        assert "unit:dead" in LocalEngine().clean()
        assert made["unit:dead"].wait(10) == -9
        assert made["unit:alive"].poll() is None
    finally:
        for process in made.values():
            process.kill()
            process.wait()


def test_a_python_that_this_host_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venvs, "find", lambda python: None)
    found = LocalEngine().prepare([HERE], None, lambda _: None)[HERE]
    assert isinstance(found, Refused)
    assert "--engine docker" in found.why


def test_a_stop_while_preparing_is_an_interruption() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        LocalEngine().prepare([HERE], None, lambda _: None, stop=stop)


def test_an_environment_without_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    said: list[str] = []
    found = venvs.prepare(HERE, None, said.append, folder=tmp_path / "own")
    assert isinstance(found, Ready), found
    assert "packages of forkbench's own environment" in found.what
    code = "import bench.matrix.run, pytest, sys; print(sys.prefix)"
    done = subprocess.run([found.where, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str(Path(found.where).parent.parent)
    assert venvs.prepare(HERE, None, said.append, folder=tmp_path / "own") == found
    assert len(said) == 1, "made once"
    (tmp_path / "project").mkdir()
    refused = venvs.prepare(
        HERE,
        Project(tmp_path / "project", install=Install(requirements=("no-such-distribution-here",))),
        said.append,
        folder=tmp_path / "own",
    )
    assert isinstance(refused, Refused)
    assert "No matching distribution" in refused.why
    assert refused.output.splitlines()[-1].endswith("No matching distribution found for pytest>=8")
