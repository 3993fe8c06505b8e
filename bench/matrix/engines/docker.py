"""The engine `docker`: one container is one cell, and the test is its main process."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.cells import Python
from bench.errors import Unavailable
from bench.matrix.engines.base import Ended, Job, Lines, Ready, Refused, main_arguments
from bench.matrix.engines.container import PYTHON, USER, Running, not_found
from bench.matrix.images.engine import client_errors, engine_errors, one_line
from bench.process import seen
from bench.process.agreed import METHOD, STACKS
from bench.process.cpus import usable_cpus
from bench.process.owners import is_dead, this_owner

if TYPE_CHECKING:
    from bench.matrix.images import Project
    from docker import DockerClient

__all__ = ["LABEL", "PYTHON", "USER", "DockerEngine", "environment", "is_left_behind", "labels", "limits"]

LABEL = "org.forkbench"

GRACE_S = 120.0
"""How long past its time limit a container is left to its owner, in seconds, before anybody may remove it."""

_API_S = 120.0
_STACKS_FILE = "/tmp/.bench-stacks"
_TROUBLE = "the Docker engine failed"


class DockerEngine:
    """Cells as containers, through the engine that the environment names (`DOCKER_HOST`, else the local socket).

    Args:
        images: the images that a project names for Pythons, by the names of these.
    """

    name = "docker"

    def __init__(self, images: Mapping[str, str] | None = None) -> None:
        self._images = dict(images or {})
        self._lock = threading.Lock()
        self._client: DockerClient | None = None

    @property
    def client(self) -> DockerClient:
        """The connection, made on first use and shared by the threads.

        Raises:
            Unavailable: if no engine answers.
        """
        with self._lock:
            if self._client is None:
                self._client = _connect()
            return self._client

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def cpus(self) -> tuple[int, ...]:
        """Return the CPUs of the engine's host; those of this process, where it is the same host.

        Raises:
            Unavailable: if no engine answers.
        """
        with engine_errors(_TROUBLE):
            count = int(self.client.api.info()["NCPU"])
        here = usable_cpus() if count == os.cpu_count() else ()
        return here or tuple(range(count))

    def prepare(
        self,
        pythons: Sequence[Python],
        project: Project | None,
        progress: Callable[[str], None],
        *,
        stop: threading.Event | None = None,
    ) -> Mapping[Python, Ready | Refused]:
        """Find or build the images."""
        from bench.matrix.images import ImageReady, prepare_images

        with engine_errors(_TROUBLE):
            found = prepare_images(self.client, pythons, project, progress=progress, stop=stop, names=self._images)
        return {
            python: Ready(python, image.image_id, f"{image.tag} on {image.base} ({image.base_origin})")
            if isinstance(image, ImageReady)
            else Refused(python, image.why, image.output)
            for python, image in found.items()
        }

    def run(
        self,
        job: Job,
        ready: Ready,
        *,
        records: Callable[[bytes], None],
        log: Callable[[bytes], None],
        stop: threading.Event,
    ) -> Ended:
        """Run one cell in a container of its own, and remove it."""
        began = time.monotonic()
        try:
            with self._container(job, ready) as container:
                ended = Running(self.client.api, container, job, stop).follow(Lines(records), log)
        except Unavailable as error:
            ended = Ended(error=str(error))
        except client_errors() as error:
            ended = Ended(error=f"{_TROUBLE}: {one_line(error)}")
        if ended.error and stop.is_set():
            ended = Ended(interrupted=True)
        return replace(ended, seconds=time.monotonic() - began)

    @contextlib.contextmanager
    def _container(self, job: Job, ready: Ready) -> Iterator[str]:
        api = self.client.api
        made = api.create_container_from_config(  # type: ignore[no-untyped-call]  # the library is untyped here
            {
                "Image": ready.where,
                "Cmd": [PYTHON, *main_arguments(job)],
                "Entrypoint": [],
                "User": USER,
                "Env": [f"{name}={value}" for name, value in environment(job).items()],
                "Labels": labels(job),
                "AttachStdout": True,
                "AttachStderr": True,
                "NetworkDisabled": True,
                "HostConfig": api.create_host_config(**limits(job)),
            },
            name=f"forkbench-{job.cell.name}-{secrets.token_hex(4)}",
        )
        try:
            yield made["Id"]
        finally:
            with contextlib.suppress(not_found()):
                api.remove_container(made["Id"], force=True, v=True)

    def clean(self) -> list[str]:
        """Remove the containers whose owner died or that are overdue, and return their names."""
        removed = []
        with engine_errors(_TROUBLE):
            for one in self.client.api.containers(all=True, filters={"label": f"{LABEL}.owner"}):
                if is_left_behind(one.get("Labels") or {}, now=time.time()):
                    with contextlib.suppress(not_found()):
                        self.client.api.remove_container(one["Id"], force=True, v=True)
                        removed.append(str(one["Names"][0]).lstrip("/") if one.get("Names") else one["Id"][:12])
        return removed


def environment(job: Job) -> dict[str, str]:
    """Return the environment variables that a container has besides those of its image."""
    return {
        "HOME": "/tmp",
        METHOD: job.cell.method,
        STACKS: _STACKS_FILE,
        **seen.environment(job.cell.seen),
        **job.environment,
    }


def labels(job: Job) -> dict[str, str]:
    """Return a container's labels: its owner, and when it is overdue (in seconds since the epoch)."""
    return {
        f"{LABEL}.run": job.run,
        f"{LABEL}.cell": job.cell.name,
        f"{LABEL}.owner": this_owner(),
        f"{LABEL}.deadline": f"{time.time() + job.limits.timeout_s + GRACE_S:.0f}",
    }


def is_left_behind(found: Mapping[str, str], *, now: float) -> bool:
    """Return whether a container is left behind, by its labels: its owner is dead, or it is overdue."""
    owner, deadline = found.get(f"{LABEL}.owner"), found.get(f"{LABEL}.deadline", "")
    if owner is None or not deadline.isdecimal():
        return False
    return is_dead(owner) or now > float(deadline)


def limits(job: Job) -> dict[str, Any]:
    """Return the host configuration of a cell's container: its limits and its isolation."""
    asked = job.limits
    share: dict[str, Any] = {"cpuset_cpus": ",".join(map(str, job.cpus))} if job.cpus else {}
    if job.cell.quota is not None:
        share["nano_cpus"] = round(job.cell.quota * 1e9)
    return {
        **share,
        "init": True,
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={asked.tmp_bytes}"},
        "shm_size": asked.shm_bytes,
        "mem_limit": asked.memory_bytes,
        "memswap_limit": asked.memory_bytes,
        "pids_limit": asked.pids,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
        "log_config": {"Type": "none"},  # the output is read from the attached stream
    }


def _connect() -> DockerClient:
    import docker

    _knock(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        return docker.from_env(version="auto", timeout=int(_API_S), max_pool_size=32)
    except client_errors() as error:
        raise _nobody_answers(one_line(error)) from None


def _knock(url: str) -> None:
    """Connect to a local socket first: where that fails, the library's error is three lines and leaks a socket."""
    if not url.startswith("unix://") or not hasattr(socket, "AF_UNIX"):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(url.removeprefix("unix://"))
        except OSError as error:
            raise _nobody_answers(f"{url}: {error.strerror or error}") from None


def _nobody_answers(why: str) -> Unavailable:
    return Unavailable(f"no Docker engine answers ({why}); start it, set DOCKER_HOST, or use --engine local")
