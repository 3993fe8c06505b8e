"""Scheduling points: what is hung into `multiprocessing` and `os` so that each shared operation is one step."""

from __future__ import annotations


def install() -> None:
    """Hang all points into this process; they do nothing where it is not controlled."""
    from bench.explore.points import clock, files, locks, pipes, processes, queues, shared, threads, values

    for module in (locks, values, pipes, queues, files, clock, processes, shared, threads):
        module.install()
