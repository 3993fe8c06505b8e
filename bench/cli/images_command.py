"""`bench images`: the images that cells run in, where they come from, and why one is not available."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cells import DEFAULT_PYTHONS, parse_python
from bench.cli.options import pythons_option, split
from bench.cli.output import say, show, width
from bench.errors import PASSED, Unavailable
from bench.matrix.config import load_config
from bench.report.lines import Line, Span, line, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.cells import Python
    from bench.matrix.images import ImageRow
    from docker import DockerClient


@click.command("images")
@pythons_option
@click.option("--build/--no-build", default=False, help="Build missing images first.  [default: no-build]")
def command(pythons: tuple[str, ...], build: bool) -> int:
    """Show the images that the demos run in, with their digests and bases, or why there is none."""
    from bench.matrix.engines.docker import DockerEngine
    from bench.matrix.images import list_images

    config = load_config(Path.cwd())
    names = split(pythons) or list(config.python) or list(DEFAULT_PYTHONS)
    asked = list(dict.fromkeys(map(parse_python, names)))
    client = DockerEngine().client
    if build:
        _build(client, asked, config.images)
    rows = list_images(client, asked, names=config.images)
    show(_lines(rows, width()))
    refused = any(row.why for row in rows)
    return Unavailable.exit_status if refused and (pythons or config.python or build) else PASSED


def _build(client: DockerClient, pythons: Sequence[Python], names: Mapping[str, str]) -> None:
    from bench.matrix.images import prepare_images

    prepare_images(client, pythons, progress=say, names=names)


def _lines(rows: Sequence[ImageRow], columns: int) -> list[Line]:
    heading = f"{'Python':<9} {'image':<28} {'digest':<19} {'size':>8}  base"
    return [line(Span(heading, "bold")), *(_row(row, columns) for row in rows)]


def _row(row: ImageRow, columns: int) -> Line:
    if row.why:
        return line(f"{row.python!s:<9} ", Span("not available: ", "trouble"), one_line(row.why, 2 * columns))
    size = f"{row.size_bytes / 1e6:.0f} MB" if row.size_bytes else ""
    base = f"{row.base or ''} ({row.base_origin})" if row.base_origin else row.base or ""
    image = Span(f"{row.tag or 'not built yet':<28}", "" if row.tag else "dim")
    return line(f"{row.python!s:<9} ", image, f" {(row.image_id or '')[:19]:<19} {size:>8}  {base}")
