"""What processes and those that start them agree on: names in the environment, exit statuses of a cell's main process.

Imported by every Python of a cell at its start, and therefore nothing but names.
"""

METHOD = "BENCH_START_METHOD"
"""Environment variable that sets the default start method of every Python of a cell."""

STACKS = "BENCH_STACKS"
"""Environment variable that names the file which processes append their stacks to."""

SEEN = "BENCH_SEEN_CPUS"
"""Environment variable that holds the number of CPUs that every Python of a cell is to count."""

GIL = "BENCH_GIL"
"""Environment variable that names the file in which free-threaded Pythons note what switches the lock on."""

PYTHON_CPU_COUNT = "PYTHON_CPU_COUNT"
"""Python's own variable for the same, from 3.13 on."""

STARTS = "BENCH_STARTS"
"""Environment variable that names the file to which children append what their start took."""

COVERAGE = "BENCH_COVERAGE"
"""Environment variable that names the configuration file by which every Python of a cell starts coverage.py."""

MAIN = "BENCH_MAIN"
"""Environment variable that names the module that `bench.process.main` is to run in a sample or group."""

REPORT = "BENCH_REPORT"
"""Environment variable that names the descriptor to which the supervisor of a sample or group reports."""

ISLAND = "BENCH_ISLAND"
"""Environment variable that names the folder which a command's pytest shares with its supervisor."""

COMPLAINTS = "complaints"
"""The file in that folder to which resource trackers append what they complain of when they end."""

MISMATCH = 70
"""Exit status of a cell's main process that was granted something else than the cell asks for."""

NOT_STARTED = 71
"""Exit status where the cell's own machinery failed before anything was tested."""
