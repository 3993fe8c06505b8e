from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from bench.cells import parse_cell
from bench.errors import Unavailable
from bench.matrix.engines import container, docker
from bench.matrix.engines.base import MIB, Ended, Job, Limits, Lines, ended_by_status, main_arguments
from bench.process import owners

JOB = Job("r1", parse_cell("py314-spawn-cpu2"), (0, 3), ("--cell", "x"), Limits(timeout_s=10, memory_bytes=64 * MIB))


def test_lines_are_whole_however_the_stream_is_cut() -> None:
    seen: list[bytes] = []
    lines = Lines(seen.append)
    for piece in (b"a", b"b\nc", b"\n", b"\nlong", b"er\nto"):
        lines.feed(piece)
    assert seen == [b"ab\n", b"c\n", b"\n", b"longer\n"]
    assert lines.torn == b"to"


@pytest.mark.parametrize(
    ("status", "ended"),
    [(0, Ended(0)), (128, Ended(128)), (137, Ended(signal=9)), (139, Ended(signal=11)), (255, Ended(255))],
)
def test_exit_statuses_above_128_are_signals(status: int, ended: Ended) -> None:
    assert ended_by_status(status) == ended


def test_the_main_process_is_the_inside() -> None:
    assert main_arguments(JOB) == ["-m", "bench.inside", "--cell", "x"]


def test_a_container_is_shut_in() -> None:
    limits = docker.limits(JOB)
    assert limits["cpuset_cpus"] == "0,3"
    assert limits["mem_limit"] == limits["memswap_limit"] == 64 * MIB
    assert limits["network_mode"] == "none"
    assert limits["read_only"] is limits["init"] is True
    assert limits["cap_drop"] == ["ALL"]
    assert limits["security_opt"] == ["no-new-privileges:true"]
    assert "size=67108864" in limits["tmpfs"]["/tmp"]


def test_a_quota_is_of_time_and_pins_nothing() -> None:
    limits = docker.limits(replace(JOB, cell=parse_cell("py314-fork-quota0.5"), cpus=()))
    assert limits["nano_cpus"] == 500_000_000
    assert "cpuset_cpus" not in limits


def test_the_start_method_comes_from_the_environment() -> None:
    assert docker.environment(JOB)["BENCH_START_METHOD"] == "spawn"
    assert docker.environment(replace(JOB, environment={"TZ": "UTC"}))["TZ"] == "UTC"


def test_this_process_is_alive() -> None:
    assert not owners.is_dead(owners.this_owner())


def test_a_reused_pid_is_a_dead_owner() -> None:
    mine, _, started = owners.this_owner().rpartition(":")
    assert owners.is_dead(f"{mine}:{int(started) - 1}")


def test_of_an_owner_on_another_host_nothing_is_known() -> None:
    assert not owners.is_dead("another-boot:4026531836:1:1")
    assert not owners.is_dead("")
    assert not owners.is_dead("garbage")


def label(**changed: str) -> dict[str, str]:
    return {**docker.labels(JOB), **{f"org.forkbench.{name}": text for name, text in changed.items()}}


def dead() -> str:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    here = owners.this_owner().rsplit(":", 2)[0]
    return f"{here}:{pid}:1"


@pytest.mark.parametrize(
    ("labels", "now", "expected"),
    [
        (label(), 0, False),
        (label(owner=dead()), 0, True),
        (label(owner="another-boot:1:1:1"), 0, False),
        (label(owner="another-boot:1:1:1", deadline="100"), 101, True),
        (label(deadline="100"), 101, True),
        (label(deadline="soon"), 1e12, False),
        ({}, 1e12, False),
        ({"org.forkbench.deadline": "1"}, 1e12, False),
    ],
)
def test_only_what_nobody_looks_after_is_left_behind(labels: dict[str, str], now: float, expected: bool) -> None:
    assert docker.is_left_behind(labels, now=now) is expected


def test_a_missing_engine_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(Unavailable, match=r"no Docker engine answers .* use --engine local") as caught:
        docker.DockerEngine().cpus()
    assert "\n" not in str(caught.value)


class StubApi:
    """The part of an engine that answers a container that is out of processes."""

    def exec_create(self, container: str, command: list[str], user: str) -> dict[str, Any]:
        from docker.errors import APIError

        raise APIError("cannot start a process: resource temporarily unavailable")

    def top(self, container: str, ps_args: str) -> dict[str, Any]:
        return {"Titles": ["PID", "WCHAN"], "Processes": [["7", "do_wait"]]}


def test_without_room_for_a_process_the_engine_lists_what_runs() -> None:
    import threading

    text = container.Running(StubApi(), "c", JOB, threading.Event())._stacks()
    assert "not all stacks: cannot start a process" in text
    assert "7  do_wait" in text
