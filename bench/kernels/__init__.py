"""Known bugs of programs made of several processes, each as small as possible, and each beside its fixed twin.

A kernel is a scenario with one bug, which a bench must find. Its twin `...Fixed` is the same scenario without the bug
and has one result: a bench must find nothing in it. The corpus as data, with the number of processes and the fewest
preemptions that show each bug, is `bench.kernels.corpus.KERNELS`.

    `counters`     updates that read, and write later: lost updates
    `checks`       a check that no longer holds when it is acted on: check, then act
    `accounts`     invariants over two places
    `exclusion`    locks made by hand, and locks misused
    `deadlocks`    processes that wait for each other in a circle
    `conditions`   lost and misdirected wakeups of condition variables
    `publication`  data that is announced before it is written
    `files`        check, then act, on a real directory
    `queues`       `empty()`, whose answer is old when it is used

A comment at each bug gives the interleaving that shows it: `A`, `B` are the actors in their order, `|` is a switch
from one that could have gone on (a preemption), `/` one from a process that has ended or must wait.
"""
