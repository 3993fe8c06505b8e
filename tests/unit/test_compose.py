"""compose.yaml holds the default cells, shut in as the Docker engine does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # no stubs in the group of types

from bench import inside
from bench.cells import Cell
from bench.matrix.engines.base import Job, Limits, main_arguments
from bench.matrix.engines.docker import USER, limits
from bench.matrix.plan import Axes

ROOT = Path(__file__).parents[2]
CELLS = Axes().cells()
UNITS = {"m": 1 << 20, "g": 1 << 30}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def size(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def test_its_services_are_the_default_cells(services: dict[str, Any]) -> None:
    assert list(services) == [cell.name for cell in CELLS]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_service_is_its_cell(services: dict[str, Any], cell: Cell) -> None:
    service = services[cell.name]
    assert service["cpuset"] == ",".join(map(str, range(cell.cpus)))
    assert service["environment"] == {"HOME": "/tmp", "BENCH_START_METHOD": cell.method}
    assert service["image"] == f"forkbench:{cell.python.tag}"
    assert service["build"] == {
        "context": ".",
        "dockerfile": "docker/Dockerfile",
        "args": {"BASE": cell.python.image},
    }
    orders = inside.parse([*service["entrypoint"][3:], *service["command"]])
    assert (orders.cell, orders.engine, orders.sampling.seed, orders.targets) == (cell, "compose", 0, ("bench.demos",))


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_service_is_shut_in_as_a_container_of_the_engine_is(services: dict[str, Any], cell: Cell) -> None:
    service = services[cell.name]
    job = Job("run", cell, tuple(range(cell.cpus)), ())
    asked = limits(job)
    for name in ("network_mode", "read_only", "cap_drop", "security_opt", "init", "pids_limit"):
        assert service[name] == asked[name]
    for name in ("mem_limit", "memswap_limit", "shm_size"):
        assert size(service[name]) == asked[name]
    assert service["user"] == USER
    assert service["ulimits"] == {"core": 0}
    assert service["cpuset"] == asked["cpuset_cpus"]
    (tmpfs,) = service["tmpfs"]
    assert tmpfs == f"/tmp:{asked['tmpfs']['/tmp']}".replace(str(Limits().tmp_bytes), "64m")
    assert service["entrypoint"][:3] == ["python3", *main_arguments(job)]


def test_a_service_shares_nothing_with_the_host(services: dict[str, Any]) -> None:
    known = {
        "build",
        "cap_drop",
        "command",
        "cpuset",
        "entrypoint",
        "environment",
        "image",
        "init",
        "mem_limit",
        "memswap_limit",
        "network_mode",
        "pids_limit",
        "read_only",
        "security_opt",
        "shm_size",
        "tmpfs",
        "ulimits",
        "user",
    }
    assert {name for service in services.values() for name in service} == known, "no volumes, devices, ports, secrets"
