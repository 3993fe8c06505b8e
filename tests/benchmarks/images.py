"""Images for the six default Pythons from nothing, beside finding that there is nothing to do."""

from __future__ import annotations

from bench.cells import DEFAULT_PYTHONS, parse_python
from bench.matrix.engines.docker import DockerEngine
from bench.matrix.images import remove_images
from tests.benchmarks.measure import timed


def main() -> None:
    """Remove forkbench's own images, build them, and ask for them again."""
    engine = DockerEngine()
    pythons = [parse_python(text) for text in DEFAULT_PYTHONS]
    remove_images(engine.client)
    built = timed(lambda: engine.prepare(pythons, None, print))
    again = timed(lambda: engine.prepare(pythons, None, print))
    print(f"{len(pythons)} images: {built:.0f} s from nothing; {again:.2f} s when nothing changed")
    engine.close()
