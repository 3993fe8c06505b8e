"""A cell beside a bare create-start-wait-remove of the same image, command and limits."""

from __future__ import annotations

import threading

from bench.cells import parse_cell
from bench.matrix.engines.base import Job, Limits, Ready, Refused, main_arguments
from bench.matrix.engines.container import PYTHON, USER
from bench.matrix.engines.docker import DockerEngine, environment, limits
from tests.benchmarks.measure import alternate, tell

ROUNDS = 20


def main() -> None:
    """Measure and print, for a cell whose command does nothing but end."""
    cell = parse_cell("py314-fork-cpu1")
    engine = DockerEngine()
    ready = engine.prepare([cell.python], None, print)[cell.python]
    if isinstance(ready, Refused):
        print(f"not measured: {ready.why}")
        return
    arguments = ("--cell", cell.name, "--engine", "docker", "--", "python3", "-c", "pass")
    job = Job("benchmark", cell, engine.cpus()[:1], arguments, Limits(timeout_s=60))
    ours, peer = alternate(lambda: _cell(engine, job, ready), lambda: _bare(engine, job, ready), ROUNDS)
    tell("a cell", ours, "bare create-start-wait-remove", peer)
    engine.close()


def _cell(engine: DockerEngine, job: Job, ready: Ready) -> None:
    ended = engine.run(job, ready, records=_nothing, log=_nothing, stop=threading.Event())
    assert ended.exit_status == 0, ended


def _nothing(data: bytes) -> None:
    pass


def _bare(engine: DockerEngine, job: Job, ready: Ready) -> None:
    api = engine.client.api
    made = api.create_container(
        ready.where,
        [PYTHON, *main_arguments(job)],
        user=USER,
        environment=environment(job),
        host_config=api.create_host_config(**limits(job)),
    )
    api.start(made["Id"])
    assert api.wait(made["Id"])["StatusCode"] == 0
    api.remove_container(made["Id"])
