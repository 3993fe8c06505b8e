"""The audit of an exploration: a few schedules in which nothing that reaches shared things goes unseen.

It finds what the scheduling points do not know of. In an audited schedule each controlled process notes on the board
where it is: in the user's code, or in a point that has taken its step. A tracer stops it at each of its system calls,
and names those that are neither a point's own nor known to be harmless, with the user's line; so it does with accesses
to shared memory, which is protected outside of points.

calls, numbers     which system calls are harmless; their names by number (pure)
events             which audit events of the interpreter may reach shared things (pure)
tracer, ptrace     the process that sees the system calls of all audited processes
memory             shared memory, closed outside of points
hooks              what runs in an audited process
sealed             what processes are given, unpickled under audit
lines              lines of the user's that later schedules come to for the first time
"""
