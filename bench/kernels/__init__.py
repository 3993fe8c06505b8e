"""Known bugs of programs made of several processes, each as small as it gets, and each beside its fixed twin.

What a bench must find is here, and what it must not: a kernel is a scenario with one bug, its twin `...Fixed` is the
same scenario without it and has one result. The corpus as data, with the number of processes and the fewest
preemptions that show each bug, is `bench.kernels.corpus.KERNELS`.

    `counters`     updates that read, and write later
    `checks`       what was checked no longer holds when it is acted on
    `accounts`     invariants over two places
    `exclusion`    locks made by hand, and locks misused
    `deadlocks`    who waits for whom, in a circle
    `conditions`   waking nobody, or the wrong one
    `publication`  what is announced before it is there
    `files`        the same on a real directory
    `queues`       what `empty()` says

A comment at each bug gives the interleaving that shows it: `A`, `B` are the actors in their order, `|` is a switch
from one that could have gone on (a preemption), `/` one from a process that has ended or must wait.
"""
