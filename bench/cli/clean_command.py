"""`bench clean`: remove what dead runs left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.cli.output import say
from bench.errors import Unavailable
from bench.report.lines import counted

if TYPE_CHECKING:
    from bench.matrix.engines.base import Engine


@click.command("clean")
@click.option("--images", is_flag=True, help="Remove forkbench's images too, and say how much that freed.")
def command(images: bool) -> None:
    """Remove the containers, processes and folders that dead runs left behind, known by their label."""
    from bench.matrix.engines.docker import DockerEngine
    from bench.matrix.engines.local import LocalEngine
    from bench.process.folders import reap

    docker = DockerEngine()
    removed = [*reap(), *_cleaned(LocalEngine()), *_cleaned(docker)]
    if images:
        from bench.matrix.images import disk_usage, remove_images

        before = disk_usage(docker.client)
        gone = remove_images(docker.client)
        freed = max(before - disk_usage(docker.client), 0)
        removed += gone
    for name in removed:
        click.echo(f"removed {name}")
    if not removed:
        click.echo("nothing was left behind")
    if images and gone:
        click.echo(f"{counted(len(gone), 'image')} removed, {freed / 1e6:,.0f} MB freed")


def _cleaned(engine: Engine) -> list[str]:
    try:
        return engine.clean()
    except Unavailable as error:
        say(f"{engine.name}: nothing cleaned, since {error}")
        return []
