"""The engine that a command's `--engine` names: the option, and the engines by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.cli.output import say
from bench.errors import Unavailable, UsageError
from bench.matrix.config import ENGINES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.matrix.engines.base import Engine

engine_option = click.option(
    "--engine",
    default=None,
    metavar="|".join(ENGINES),
    help="Where cells run.  [default: auto, which is docker where an engine answers, else local]",
)


def engine_of(name: str, images: Mapping[str, str] | None = None) -> Engine:
    """Return an engine that answers; `auto` is docker, or local with a message where docker does not answer.

    Args:
        name: the engine's name.
        images: the images that the project names for Pythons.

    Raises:
        UsageError: if there is no engine of this name.
        Unavailable: if the one asked for does not answer.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}; there are {', '.join(ENGINES)}")
    if name != "auto":
        return _answering(name, images)
    try:
        return _answering("docker", images)
    except Unavailable as error:
        say(f"cells run as processes of this host (--engine local), since {error}")
        return _answering("local", images)


def _answering(name: str, images: Mapping[str, str] | None) -> Engine:
    engine = _opened(name, images)
    engine.cpus()  # raises where the engine does not answer
    return engine


def _opened(name: str, images: Mapping[str, str] | None) -> Engine:
    """Return the engine of a name of `ENGINES`; its module is imported only now."""
    if name == "docker":
        from bench.matrix.engines.docker import DockerEngine

        return DockerEngine(images)
    from bench.matrix.engines.local import LocalEngine

    return LocalEngine()
