"""The interface of all strategies."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from typing import Protocol

    from bench.explore.model import Plan, Trace

    class Strategy(Protocol):
        """Plans schedules, and learns from their traces; `next` and `learn` take turns."""

        name: str

        def next(self) -> Plan | None:
            """Return the next plan; `None` when there is none left."""

        def learn(self, trace: Trace) -> None:
            """Learn the trace of the last plan."""

        @property
        def reduces(self) -> bool:
            """Whether what is covered rests on what `model.dependent` takes as independent."""

        @property
        def complete(self) -> bool:
            """Whether every interleaving that the strategy's bound allows was covered."""

        def claim(self) -> str:
            """State what is shown so far, exactly: "all 1,360 interleavings", "all with at most 2 preemptions"."""
