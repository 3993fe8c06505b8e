"""A running matrix: `run_matrix` carries out a plan, and reports events while it does."""

from bench.matrix.run.events import CellEnded, CellLine, CellStarted, Event, Preparing, RunResult
from bench.matrix.run.loop import make_job, run_matrix
from bench.matrix.run.resuming import Begun, read_begun

__all__ = [
    "Begun",
    "CellEnded",
    "CellLine",
    "CellStarted",
    "Event",
    "Preparing",
    "RunResult",
    "make_job",
    "read_begun",
    "run_matrix",
]
