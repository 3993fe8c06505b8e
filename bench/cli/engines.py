"""The engine that a command's `--engine` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli.output import say
from bench.errors import Unavailable, UsageError
from bench.matrix.config import ENGINES

if TYPE_CHECKING:
    from bench.matrix.engines.base import Engine


def engine_of(name: str) -> Engine:
    """Return an engine that answers; `auto` is docker, or local with a message where docker does not answer.

    Raises:
        UsageError: if there is no engine of this name.
        Unavailable: if the one asked for does not answer.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}; there are {', '.join(ENGINES)}")
    if name == "local":
        return _local()
    try:
        return _docker()
    except Unavailable as error:
        if name == "docker":
            raise
        say(f"cells run as processes of this host (--engine local), since {error}")
        return _local()


def _docker() -> Engine:
    from bench.matrix.engines.docker import DockerEngine

    engine = DockerEngine()
    engine.cpus()
    return engine


def _local() -> Engine:
    from bench.matrix.engines.local import LocalEngine

    engine = LocalEngine()
    engine.cpus()
    return engine
