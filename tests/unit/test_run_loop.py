from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bench.cells import Cell
from bench.errors import Unavailable
from bench.leases import holders, try_lease
from bench.matrix.engines.base import MIB, Job
from bench.matrix.plan import Plan, Settings, make_plan, parse_axes
from bench.matrix.run import CellEnded, CellLine, CellStarted, Event, Preparing, make_job, run_matrix
from bench.record import End, Facts, Judged, read_lines, read_run
from bench.sampling import Sampling
from bench.testing import FakeClock, FakeEngine, Script, granted, passing


def until_stopped(job: Job) -> Script:
    return Script((granted(job),), until_stopped=True)


@dataclass
class Board:
    seen: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.seen.append(event)


def plan_of(methods: str = "fork,spawn", cpus: str = "1,2", python: str = "3.14", **settings: object) -> Plan:
    return make_plan(
        parse_axes([python], [methods], [cpus]),
        run="r1",
        host_cpus=2,
        settings=Settings(**settings),  # type: ignore[arg-type]  # the settings vary
    )


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    return tmp_path / "leases"


def statuses(ends: Mapping[Cell, End]) -> dict[str, str]:
    return {cell.name: end.status for cell, end in ends.items()}


def test_every_planned_cell_has_an_end_and_the_wide_ones_run_first(tmp_path: Path, leases: Path) -> None:
    engine, board = FakeEngine(), Board()
    result = run_matrix(
        plan_of(cpus="1,2,4"), engine, tmp_path / "run", on_event=board, stop=threading.Event(), leases=leases
    )
    assert statuses(result.ends) == {
        "py314-fork-cpu1": "pass",
        "py314-fork-cpu2": "pass",
        "py314-fork-cpu4": "unavailable",
        "py314-spawn-cpu1": "pass",
        "py314-spawn-cpu2": "pass",
        "py314-spawn-cpu4": "unavailable",
    }
    assert [job.cell.cpus for job in engine.jobs] == [2, 2, 1, 1]
    assert not result.interrupted
    assert holders(leases) == []


def test_records_are_on_disk_before_anybody_hears_of_them(tmp_path: Path, leases: Path) -> None:
    folder, heard = tmp_path / "run", []

    def check(event: Event) -> None:
        if isinstance(event, CellLine):
            assert event.line in list(read_lines(folder / "cells" / f"{event.cell.name}.jsonl"))
            heard.append(event.line)

    run_matrix(plan_of("fork", "1"), FakeEngine(), folder, on_event=check, stop=threading.Event(), leases=leases)
    lines = list(read_lines(folder / "cells" / "py314-fork-cpu1.jsonl"))
    assert [type(line) for line in lines] == [Facts, Judged, End]
    assert heard == lines[:2]
    assert (folder / "logs" / "py314-fork-cpu1.log").read_bytes() == b"hello\n"


def test_run_json_names_every_cell_and_how_it_ended(tmp_path: Path, leases: Path) -> None:
    folder = tmp_path / "run"
    engine = FakeEngine(refused={"3.13": "no base"})
    run_matrix(
        plan_of("fork", "1,4", "3.13,3.14"), engine, folder, on_event=Board(), stop=threading.Event(), leases=leases
    )
    run = read_run(folder)
    assert {one["cell"]: (one["status"], one["why"]) for one in run["cells"]} == {
        "py313-fork-cpu1": ("unavailable", "no base"),
        "py313-fork-cpu4": ("unavailable", "needs 4 CPUs, and there are 2"),
        "py314-fork-cpu1": ("pass", ""),
        "py314-fork-cpu4": ("unavailable", "needs 4 CPUs, and there are 2"),
    }
    assert run["run"] == "r1"
    assert run["started"] < run["ended"]
    assert run["pythons"]["3.13"] == {"refused": "no base"}


def test_events_report_the_whole_run(tmp_path: Path, leases: Path) -> None:
    board = Board()
    run_matrix(
        plan_of("fork", "1"),
        FakeEngine(left_behind=["an old cell"]),
        tmp_path,
        on_event=board,
        stop=threading.Event(),
        leases=leases,
    )
    kinds = [type(event) for event in board.seen]
    assert kinds == [Preparing, Preparing, CellStarted, CellLine, CellLine, CellEnded]
    assert board.seen[0] == Preparing("removed an old cell, left by a run that died")


def test_a_stop_ends_what_runs_and_what_waits_and_keeps_the_records(tmp_path: Path, leases: Path) -> None:
    stop, folder = threading.Event(), tmp_path / "run"

    def stop_at_first_line(event: Event) -> None:
        if isinstance(event, CellLine):
            stop.set()

    result = run_matrix(
        plan_of(), FakeEngine(until_stopped), folder, on_event=stop_at_first_line, stop=stop, leases=leases
    )
    assert set(statuses(result.ends).values()) == {"interrupted"}
    assert result.interrupted
    files = {path.stem: [type(line) for line in read_lines(path)] for path in (folder / "cells").iterdir()}
    assert sorted(files.values(), key=len) == [[End], [End], [End], [Facts, End]]
    assert read_run(folder)["interrupted"] is True
    assert holders(leases) == []


def test_a_stop_while_preparing_does_not_wait_for_it(tmp_path: Path, leases: Path) -> None:
    stop, release = threading.Event(), threading.Event()

    class Slow(FakeEngine):
        def clean(self) -> list[str]:
            stop.set()
            release.wait(10)
            return []

    result = run_matrix(plan_of("fork"), Slow(), tmp_path / "run", on_event=Board(), stop=stop, leases=leases)
    release.set()
    assert set(statuses(result.ends).values()) == {"interrupted"}


def test_jobs_bound_how_many_cells_run_at_once(tmp_path: Path, leases: Path) -> None:
    engine = FakeEngine()
    run_matrix(
        plan_of(cpus="1", jobs=1), engine, tmp_path / "run", on_event=Board(), stop=threading.Event(), leases=leases
    )
    assert engine.most_running == 1


def test_cpus_that_others_hold_are_left_alone(tmp_path: Path, leases: Path) -> None:
    engine, board = FakeEngine(), Board()
    other = try_lease([0], holder="another run", folder=leases)
    assert other is not None
    with other:
        result = run_matrix(
            plan_of(cpus="1"), engine, tmp_path / "run", on_event=board, stop=threading.Event(), leases=leases
        )
    assert [job.cpus for job in engine.jobs] == [(1,), (1,)]
    assert set(statuses(result.ends).values()) == {"pass"}
    told = [event.text for event in board.seen if isinstance(event, Preparing) and "another run" in event.text]
    assert told == [f"waiting: CPU 0 is held by another run (pid {os.getpid()})"]


def test_what_is_no_record_goes_to_the_log(tmp_path: Path, leases: Path) -> None:
    def talks(job: Job) -> Script:
        end = b'{"v": 1, "type": "end", "cell": "x", "status": "pass", "why": "", "seconds": 1}\n'
        return replace(passing(job), records=(b"not json\n", end, *passing(job).records))

    folder = tmp_path / "run"
    run_matrix(plan_of("fork", "1"), FakeEngine(talks), folder, on_event=Board(), stop=threading.Event(), leases=leases)
    assert len(list(read_lines(folder / "cells" / "py314-fork-cpu1.jsonl"))) == 3
    assert b"not a record: not json" in (folder / "logs" / "py314-fork-cpu1.log").read_bytes()


def test_an_engine_that_raises_is_trouble_of_the_harness(tmp_path: Path, leases: Path) -> None:
    def breaks(job: Job) -> Script:
        raise RuntimeError("bad luck")

    result = run_matrix(
        plan_of("fork", "1"),
        FakeEngine(breaks),
        tmp_path / "run",
        on_event=Board(),
        stop=threading.Event(),
        leases=leases,
    )
    (end,) = result.ends.values()
    assert (end.status, end.why) == ("error", "RuntimeError: bad luck")


def test_an_engine_that_cannot_prepare_ends_the_run(tmp_path: Path, leases: Path) -> None:
    with pytest.raises(Unavailable, match="gone"):
        run_matrix(
            plan_of(),
            FakeEngine(error=Unavailable("gone")),
            tmp_path / "run",
            on_event=Board(),
            stop=threading.Event(),
            leases=leases,
        )


def test_a_board_that_breaks_gives_the_cpus_back(tmp_path: Path, leases: Path) -> None:
    def breaks(event: Event) -> None:
        if isinstance(event, CellLine):
            raise ValueError("no terminal")

    with pytest.raises(ValueError, match="no terminal"):
        run_matrix(
            plan_of(cpus="1"),
            FakeEngine(until_stopped),
            tmp_path / "run",
            on_event=breaks,
            stop=threading.Event(),
            leases=leases,
        )
    assert holders(leases) == []


def test_a_folder_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path, leases: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot record the run in"):
        run_matrix(
            plan_of(), FakeEngine(), tmp_path / "file" / "run", on_event=Board(), stop=threading.Event(), leases=leases
        )


def test_the_makespan_is_bounded_from_below(tmp_path: Path, leases: Path) -> None:
    result = run_matrix(
        plan_of(), FakeEngine(), tmp_path / "run", on_event=Board(), stop=threading.Event(), leases=leases
    )
    assert result.lower_bound_s == pytest.approx((2 * 2 + 2 * 1) / 2)  # four cells of a second each, on two CPUs


def test_a_job_carries_the_plan() -> None:
    sampling = Sampling(("repeat", "stress"), samples=5, deadline_s=1.5, seed=3)
    plan = plan_of(targets=("a.py",), memory_bytes=MIB, timeout_s=9.0, sampling=sampling)
    cell = plan.to_run[0]
    job = make_job(plan, cell, (1,), "docker")
    assert job.arguments == (
        "--cell",
        cell.name,
        "--engine",
        "docker",
        "--seed",
        "3",
        "--mode",
        "repeat",
        "--mode",
        "stress",
        "--samples",
        "5",
        "--deadline",
        "1.5",
        "a.py",
    )
    assert (job.limits.memory_bytes, job.limits.timeout_s, job.limits.pids) == (MIB, 9.0, 256)


def test_a_command_comes_after_two_dashes() -> None:
    plan = plan_of(command=("pytest", "-x"))
    assert make_job(plan, plan.to_run[0], (0,), "local").arguments[-3:] == ("--", "pytest", "-x")


def test_a_run_folder_can_be_read_while_it_runs(tmp_path: Path, leases: Path) -> None:
    folder = tmp_path / "run"

    def check(event: Event) -> None:
        assert json.loads((folder / "run.json").read_text())["ended"] is None

    run_matrix(plan_of("fork", "1"), FakeEngine(), folder, on_event=check, stop=threading.Event(), leases=leases)


def test_a_cell_that_takes_longer_than_its_limit_is_a_timeout_and_others_go_on(tmp_path: Path, leases: Path) -> None:
    clock, ends = FakeClock(), list[tuple[str, str]]()

    def script(job: Job) -> Script:
        return replace(passing(job), takes_s=99.0 if job.cell.method == "spawn" else 2.0)

    def on_event(event: Event) -> None:
        if isinstance(event, CellEnded):
            ends.append((event.cell.method, event.status))
            clock.advance(7.0)  # to what the other one may take
        elif isinstance(event, CellLine) and isinstance(event.line, Judged):
            judged.append(event.cell.method)
            if len(judged) == 2:
                clock.advance(2.0)

    judged = list[str]()
    engine = FakeEngine(script, clock=clock)
    plan = plan_of(cpus="1", timeout_s=9.0)
    result = run_matrix(plan, engine, tmp_path / "run", on_event=on_event, stop=threading.Event(), leases=leases)
    assert ends == [("fork", "pass"), ("spawn", "timeout")]
    assert [end.seconds for end in result.ends.values()] == [2.0, 9.0]
    assert engine.most_running == 2
