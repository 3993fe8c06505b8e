"""What runs in every controlled process: the board that all share, and the scheduler that each of them runs.

lane          `Runtime`: the points of one lane, for `bench.explore.points`; the fast path
handover      the baton: waiting for it, being woken, passing it
scheduler     which lane takes the next step
spinning      whether a loop only waits for a step of another lane
registry      the numbers of shared objects, lines and lanes
control       whether this process is controlled right now
board         the shared memory, and the semaphores; `layout` has its fields, `packing` the form of a step
stack         where a process waits
"""
