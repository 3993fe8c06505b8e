"""Engines for the tests: each case runs through both, in a container and as a process tree of this host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cells import Cell, Python, parse_python
from bench.errors import Unavailable
from bench.matrix.engines.base import Ended, Engine, Job, Ready, Refused
from bench.matrix.engines.docker import DockerEngine
from bench.matrix.engines.local import CELL, LocalEngine
from bench.matrix.images import Project
from bench.matrix.plan import Settings, make_plan
from bench.matrix.run import Event, run_matrix
from bench.process import tree
from bench.record import End, RecordLine, read_lines

PROJECT = Project(Path(__file__).parent.parent / "fixtures" / "misbehaving")
IN_CONTAINERS = parse_python("3.14")


@dataclass
class Case:
    """How one cell ended, with what it left on disk."""

    end: End
    lines: list[RecordLine]
    log: str


@dataclass
class Place:
    """An engine with one Python made ready in it, the misbehaving programs in its working folder."""

    engine: Engine
    ready: Ready
    folder: Path
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.engine.name

    @property
    def leases(self) -> Path:
        """CPU leases of these tests alone."""
        return self.folder / "leases"

    def cell(self, method: str = "spawn", cpus: int = 1) -> Cell:
        """Name a cell of the Python that is ready here."""
        return Cell(self.ready.python, method, cpus)

    def run(
        self,
        *command: str,
        cell: Cell | None = None,
        stop: threading.Event | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
        **settings: object,
    ) -> Case:
        """Run one cell through the whole loop."""
        chosen = cell or self.cell()
        run = f"test-{self.folder.name}"
        plan = make_plan(
            [chosen],
            run=run,
            host_cpus=len(self.engine.cpus()),
            settings=Settings(command=command, **{"timeout_s": 60.0, **settings}),  # type: ignore[arg-type]  # the settings vary
        )
        folder = self.folder / "run"
        result = run_matrix(
            plan,
            Prepared(self.engine, self.ready),
            folder,
            on_event=on_event,
            stop=stop or threading.Event(),
            leases=self.leases,
        )
        log = folder / "logs" / f"{chosen.name}.log"
        return Case(
            result.ends[chosen],
            list(read_lines(folder / "cells" / f"{chosen.name}.jsonl")),
            log.read_text(errors="replace") if log.exists() else "",
        )

    def left(self) -> list[str]:
        """Name what a run of this place left behind: containers, or processes of this host."""
        run = f"test-{self.folder.name}"
        if isinstance(self.engine, DockerEngine):
            found = self.engine.client.api.containers(all=True, filters={"label": f"org.forkbench.run={run}"})
            return [str(one["Names"]) for one in found]
        return [p.command for p in tree.processes() if tree.environment(p.pid).get(CELL, "").startswith(run)]


@dataclass
class Prepared:
    """An engine whose Python is ready already."""

    engine: Engine
    ready: Ready

    def __post_init__(self) -> None:
        self.name = self.engine.name
        self.cpus = self.engine.cpus
        self.clean: Callable[[], list[str]] = list

    def prepare(
        self,
        pythons: Sequence[Python],
        project: Project | None,
        progress: Callable[[str], None],
        *,
        stop: threading.Event | None = None,
    ) -> Mapping[Python, Ready | Refused]:
        """Give what is ready."""
        return dict.fromkeys(pythons, self.ready)

    def run(
        self,
        job: Job,
        ready: Ready,
        *,
        records: Callable[[bytes], None],
        log: Callable[[bytes], None],
        stop: threading.Event,
    ) -> Ended:
        """Run the cell where it really runs."""
        return self.engine.run(job, ready, records=records, log=log, stop=stop)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    engine = DockerEngine()
    try:
        engine.cpus()
    except Unavailable as error:
        pytest.skip(str(error))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def docker_ready(docker_engine: DockerEngine) -> Iterator[Ready]:
    """An image with the misbehaving programs; what the tests built is removed, its plain base image stays."""
    before = {image["Id"] for image in docker_engine.client.api.images()}
    ready = docker_engine.prepare([IN_CONTAINERS], PROJECT, lambda _: None)[IN_CONTAINERS]
    if isinstance(ready, Refused):
        pytest.skip(f"no image: {ready.why}")
    yield ready
    if ready.where not in before:
        docker_engine.client.api.remove_image(ready.where, force=True)


@pytest.fixture(scope="session")
def local_ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalEngine, Ready]:
    import sys

    engine = LocalEngine(tmp_path_factory.mktemp("environments"))
    implementation = "pypy" if sys.implementation.name == "pypy" else ""
    python = parse_python(f"{implementation}{sys.version_info[0]}.{sys.version_info[1]}")
    ready = engine.prepare([python], PROJECT, lambda _: None)[python]
    if isinstance(ready, Refused):
        pytest.skip(f"no environment: {ready.why}")
    return engine, ready


@pytest.fixture(params=["local", pytest.param("docker", marks=pytest.mark.container)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each engine in turn."""
    if request.param == "local":
        engine, ready = request.getfixturevalue("local_ready")
        return Place(engine, ready, tmp_path)
    return Place(request.getfixturevalue("docker_engine"), request.getfixturevalue("docker_ready"), tmp_path)


@pytest.fixture
def container(docker_engine: DockerEngine, docker_ready: Ready, tmp_path: Path) -> Place:
    """The engine of containers alone, for what only it can hold."""
    return Place(docker_engine, docker_ready, tmp_path)
