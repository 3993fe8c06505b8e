"""Scheduling points: patches of `multiprocessing`, `os` and `time` that make each shared operation one step."""

from __future__ import annotations


def install() -> None:
    """Install every scheduling point in this process. Outside a controlled schedule they pass straight through."""
    from bench.explore.points import clock, files, locks, pipes, processes, queues, shared, threads, values

    for module in (locks, values, pipes, queues, files, clock, processes, shared, threads):
        module.install()
