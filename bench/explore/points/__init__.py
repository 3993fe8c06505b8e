"""Scheduling points: patches of `multiprocessing`, `os` and `time` that make each shared operation one step.

    locks, barriers           locks, semaphores, conditions, events; looks at barriers
    moves, buffers            accesses that move memory piece by piece; memory that is asked for as a buffer
    grain                     which objects need finer steps than others
    values, shared            `Value` and `Array`; `multiprocessing.shared_memory`
    pipes, queues             connections and the descriptors of `os.pipe`; queues
    files, openfiles          files by name; what is open
    filelocks                 locks on files
    filesteps, paths          steps on files; the objects that paths stand for
    descriptors, eventfds     which open files other processes have as well; counters of the system
    processes                 starting a process, its end, waiting for it
    signals                   signals between processes
    clock                     sleeping, and reading clocks
    chance                    chance of the system, drawn from the seed
    uncontrolled              operations that cannot be controlled: sockets, threads, other programs, maps, timers
    later                     patches of modules that are imported later, and of types written in C
    ending                    what an actor leaves open at the end of a schedule

A function of `os` on descriptors belongs to the module of what the descriptor is of: a file or a pipe.
"""

from __future__ import annotations


def install() -> None:
    """Install every scheduling point in this process. Outside a controlled schedule they pass straight through."""
    from bench.explore.points import (
        barriers,
        chance,
        clock,
        files,
        locks,
        pipes,
        processes,
        queues,
        shared,
        signals,
        uncontrolled,
        values,
    )

    for module in (
        locks,
        values,
        barriers,
        pipes,
        queues,
        files,
        clock,
        processes,
        shared,
        signals,
        chance,
        uncontrolled,
    ):
        module.install()
