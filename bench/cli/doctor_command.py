"""`bench doctor`: what this host has and lacks, with advice for what it lacks."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import click

from bench.called import command_name
from bench.cells import PYTHONS, parse_python
from bench.cli.inputs import platform_methods
from bench.cli.output import show
from bench.errors import PASSED, BenchError, Unavailable
from bench.leases import FOLDER, holders
from bench.outcomes import METHODS
from bench.process.cpus import usable_cpus
from bench.process.facts import cgroup_version
from bench.report.lines import Line, Span, counted, duration, line, words

Level = Literal["ok", "warn", "no"]


@dataclass(frozen=True)
class Diagnosis:
    """The result of one check; `advice` says what to do where the level is not `ok`."""

    what: str
    level: Level
    text: str
    advice: str = ""


Check: TypeAlias = Callable[[], Iterator[Diagnosis]]

SOCKET_PATH = 107
"""Longest path of a Unix socket on Linux, in bytes."""

SOCKET_NAME = 32
"""The most characters that multiprocessing puts below TMPDIR for a socket of its own."""

SHM_BYTES = 64 << 20


@click.command("doctor")
def command() -> int:
    """Check what this host has and lacks, and show what to do about it."""
    found = [one for check in CHECKS for one in check()]
    show([shown for one in found for shown in _lines(one)])
    return Unavailable.exit_status if any(one.level == "no" for one in found) else PASSED


def _lines(one: Diagnosis) -> list[Line]:
    style = {"ok": "good", "warn": "odd", "no": "bad"}[one.level]
    head = line(Span(f"{one.level:<5}", style), Span(f"{one.what:<14}", "bold"), one.text)  # type: ignore[arg-type]  # style is one of the table above
    return [head, *([line(f"{'':<19}-> {one.advice}")] if one.advice else [])]


def python_found() -> Iterator[Diagnosis]:
    """Report the Python that the bench itself runs on, and its start methods."""
    yield Diagnosis("python", "ok", f"{sys.implementation.name} {sys.version.split()[0]} at {sys.executable}")
    there = platform_methods()
    missing = [method for method in METHODS if method not in there]
    yield Diagnosis("start methods", "warn" if missing else "ok", words(there), _method_advice(missing))


def _method_advice(missing: list[str]) -> str:
    return f"this platform lacks {words(missing)}; cells in Docker have all of them" if missing else ""


def engines_found() -> Iterator[Diagnosis]:
    """Report whether a Docker engine answers, and which."""
    from bench.matrix.engines.docker import DockerEngine

    engine = DockerEngine()
    try:
        version = engine.client.version()
        info = engine.client.info()
    except Unavailable as error:
        yield Diagnosis("docker", "warn", str(error), "without it cells run as processes of this host: --engine local")
        return
    yield Diagnosis(
        "docker", "ok", f"engine {version['Version']}, API {version['ApiVersion']}, {info['OperatingSystem']}"
    )
    old = str(info.get("CgroupVersion", "")) != "2"
    advice = "quotas and memory limits hold under version 1 too; swap may not be counted" if old else ""
    yield Diagnosis("cgroup", "ok", f"version {info.get('CgroupVersion', cgroup_version())} in the engine", advice)
    cores, here = int(info["NCPU"]), os.cpu_count()
    differs = "" if cores == here else f"the engine is on another host or limited: cells fit its {cores}, not {here}"
    yield Diagnosis("engine CPUs", "warn" if differs else "ok", counted(cores, "CPU"), differs)


def cpus_found() -> Iterator[Diagnosis]:
    """Report the usable CPUs, and who holds leases on them."""
    if affinity := usable_cpus():
        few = "with one CPU, cells of two are unavailable and races show seldom" if len(affinity) < 2 else ""
        ids = ", ".join(map(str, affinity))
        yield Diagnosis("CPUs", "warn" if few else "ok", f"{len(affinity)} of {os.cpu_count()} usable: {ids}", few)
    else:
        yield Diagnosis("CPUs", "warn", f"{os.cpu_count()}, which cannot be pinned here", "use --engine docker")
    try:
        held = holders()
    except BenchError as error:
        yield Diagnosis("leases", "no", str(error))
        return
    if not held:
        yield Diagnosis("leases", "ok", f"none held, in {FOLDER}")
    for one in held:
        since = duration(max(time.time() - one.since, 0.0))
        yield Diagnosis("leases", "ok", f"CPU {one.cpu} held by {one.holder} (pid {one.pid}) for {since}")


def interpreters_found() -> Iterator[Diagnosis]:
    """Report which Pythons of the matrix are on this host, for --engine local and for packed images."""
    from bench.matrix import discovery

    found = {python: discovery.find(parse_python(python)) for python in PYTHONS}
    there = [f"{one.version if name[0] == '3' else name}" for name, one in found.items() if one is not None]
    missing = [name for name, one in found.items() if one is None]
    advice = f"not here: {words(missing)}; they run in Docker, or install them for --engine local" if missing else ""
    yield Diagnosis("interpreters", "ok" if there else "warn", words(there) or "none", advice)


def shm_found() -> Iterator[Diagnosis]:
    """Report how much shared memory is free."""
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError:
        yield Diagnosis("/dev/shm", "warn", "not here", "semaphores and shared memory need it on Linux")
        return
    low = usage.free < SHM_BYTES
    advice = "free some: programs of the bench may need 64 MB" if low else ""
    yield Diagnosis(
        "/dev/shm", "warn" if low else "ok", f"{usage.free >> 20:,} of {usage.total >> 20:,} MiB free", advice
    )


def tmpdir_found() -> Iterator[Diagnosis]:
    """Report whether TMPDIR can be written, and is short enough for the paths of sockets in it."""
    folder = tempfile.gettempdir()
    left = SOCKET_PATH - len(os.fsencode(folder)) - SOCKET_NAME
    advice = "set TMPDIR to a shorter path: forkserver and managers put their sockets in it" if left < 0 else ""
    yield Diagnosis("TMPDIR", "warn" if left < 0 else "ok", f"{folder} ({len(os.fsencode(folder))} characters)", advice)
    if not os.access(folder, os.W_OK) or not Path(folder).is_dir():
        yield Diagnosis("TMPDIR", "no", f"{folder} cannot be written", "set TMPDIR to a folder of yours")


def images_found() -> Iterator[Diagnosis]:
    """Report the base of each image, and whether the image is built."""
    from bench.matrix.engines.docker import DockerEngine
    from bench.matrix.images import list_images

    try:
        rows = list_images(DockerEngine().client, [parse_python(name) for name in PYTHONS])
    except Unavailable:
        return  # `engines_found` reports that
    for row in rows:
        if row.why:
            yield Diagnosis("image", "warn", f"{row.python}: not available: {row.why}")
        else:
            built = "built" if row.image_id else f"not built yet; {command_name()} images --build does"
            yield Diagnosis("image", "ok", f"{row.python}: base {row.base} ({row.base_origin}), {built}")


CHECKS: tuple[Check, ...] = (
    python_found,
    engines_found,
    cpus_found,
    interpreters_found,
    shm_found,
    tmpdir_found,
    images_found,
)
