"""SECURITY.md says of containers what the code does."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from bench.cells import parse_cell
from bench.leases import FOLDER
from bench.matrix.engines.base import MIB, Job, Limits
from bench.matrix.engines.docker import USER, environment, limits
from bench.matrix.images.pip_settings import PROXIES, TAKEN
from bench.matrix.run.files import LOG_BYTES
from tests.fixtures.checkout import text

PAGE = text("SECURITY.md")
JOB = Job("run", parse_cell("py314-spawn-cpu2"), (0, 1), ())


def row(name: str) -> str:
    """A row of the table of what a container may not do."""
    (found,) = re.findall(rf"^\| {name} \| (.*) \|$", PAGE, re.MULTILINE)
    return str(found)


def sizes(name: str) -> list[int]:
    return [int(number.replace(",", "")) * MIB for number in re.findall(r"([\d,]+) MiB", row(name))]


def test_the_limits_are_those_of_a_cell() -> None:
    default = Limits()
    assert sizes("memory") == [default.memory_bytes]
    assert sizes("writable") == [default.tmp_bytes, default.shm_bytes]
    assert row("processes") == str(default.pids)
    assert row("time").startswith(f"{default.timeout_s:g} s by default")
    assert len(fields(Limits)) == 5, "a new limit has a row of its own"
    assert row("user").startswith(USER)


def test_a_container_is_shut_in_as_the_page_says() -> None:
    asked = limits(JOB)
    assert asked["cap_drop"] == ["ALL"]
    assert asked["security_opt"] == ["no-new-privileges:true"]
    assert asked["network_mode"] == "none"
    assert asked["read_only"] is True
    assert asked["memswap_limit"] == asked["mem_limit"]
    assert asked["ulimits"] == [{"Name": "core", "Soft": 0, "Hard": 0}]
    assert list(asked["tmpfs"]) == ["/tmp"]
    assert {"nosuid", "nodev"} <= set(asked["tmpfs"]["/tmp"].split(","))


@pytest.mark.parametrize("way_out", ["binds", "mounts", "volumes_from", "privileged", "devices", "cap_add", "pid_mode"])
def test_a_container_has_no_way_out_that_the_page_does_not_name(way_out: str) -> None:
    assert way_out not in limits(JOB)


def test_nothing_of_the_host_s_environment_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    assert set(environment(JOB)) == {"HOME", "BENCH_START_METHOD", "BENCH_STACKS"}


def test_what_a_build_takes_over_is_listed_in_full() -> None:
    (listed,) = re.findall(r"So a build takes over (.*?) of\s+pip's configuration", PAGE, re.DOTALL)
    assert re.findall(r"`([\w-]+)`", listed) == list(TAKEN)
    assert f"`{PROXIES[0]}`" in PAGE


def test_numbers_and_places_are_those_of_the_code() -> None:
    assert f"at most {LOG_BYTES // MIB} MiB" in " ".join(PAGE.split())
    assert f"`{FOLDER}`" in PAGE
