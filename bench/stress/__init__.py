"""Stress mode: a scenario's actors in resident processes, hundreds of thousands of samples a second.

`observe` runs many short *fork groups*, each in a fresh interpreter (`group`, `coordinator`): states are made once and
gone through again and again by all actors (`resident`, `plan`, `meeting`), results are counted in bulk (`counting`),
and states are put back without being made anew where that can be shown to be right (`restoring`). Samples of a group
are correlated, which is why rates are given over groups.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: the processes of a group import this package, and grade nothing

if TYPE_CHECKING:
    from bench.stress.observing import DEFAULT_DEADLINE_S, DEFAULT_SECONDS, Progress, observe

__all__ = ["DEFAULT_DEADLINE_S", "DEFAULT_SECONDS", "Progress", "observe"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bench.stress import observing

    return getattr(observing, name)
