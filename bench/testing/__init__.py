"""Fakes for tests of what is built on the bench: a clock, an engine and a machine, each without a process.

    `FakeClock`    takes the place of `time.monotonic` and `time.sleep`
    `FakeEngine`   takes the place of an engine of the matrix: its cells do what a `Script` says
    `FakeMachine`  takes the place of the executor of an exploration: it runs a strategy's plans on a `Program`

They implement the interfaces of the real ones and hold what the real ones promise. The tests of the bench use them too.
"""

from bench.testing.clock import FakeClock
from bench.testing.engine import FakeEngine, Script, failing, granted, judged, passing
from bench.testing.machine import FakeMachine, Program

__all__ = [
    "FakeClock",
    "FakeEngine",
    "FakeMachine",
    "Program",
    "Script",
    "failing",
    "granted",
    "judged",
    "passing",
]
