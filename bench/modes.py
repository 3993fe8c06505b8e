"""Modes: those that a target is observed in, and the observer of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.declared import Target, actors_of
from bench.sampling import MODES, TIMED

if TYPE_CHECKING:
    from bench.observation import Observation
    from bench.record import Judged
    from bench.sampling import Mode
    from bench.targets import Found

CELL_MODES: tuple[Mode, ...] = MODES
"""The modes of a cell by default."""

CELL_SECONDS: Mapping[Mode, float] = MappingProxyType({"stress": 0.7, "explore": 5.0})
"""How long a timed mode goes on with each target in a cell, by default.

The default matrix has to end within 8 minutes on two CPUs. A second for one target in each of its 36 cells is 27 s of
that: 18 cells hold both CPUs, and 18 hold one each. The programs and the cells themselves take 265 s. Stress takes all
of its time and the rest of its last group, 0.85 s for each of the four scenarios: 92 s. Explore ends by itself once it
is through: 0.5 s for each of them, most of it starting processes, makes 54 s; its bound is for targets that it does not
get through with, and far from those that it does, since half an exploration of a race proves nothing. Sum: 411 s.
"""

_OF_PROGRAMS: tuple[Mode, ...] = ("repeat", "explore")
"""The modes that programs can be observed in; the first that is asked for is taken."""


def modes_of(target: Target, asked: Sequence[Mode]) -> tuple[Mode, ...]:
    """Return the modes, of those asked for, that a target is observed in; none if it can be observed in none of them.

    A program has no actors to be stressed; it is repeated, and explored only where that is asked for and repeating is
    not: each of its schedules starts processes, so that few are decided in the time that a target has in a cell. A
    scenario is repeated only where nothing else is asked for: stress takes as many samples in a millisecond.
    """
    if not actors_of(target):
        return tuple(mode for mode in _OF_PROGRAMS if mode in asked)[:1]
    return tuple(mode for mode in asked if mode in TIMED) or tuple(asked)


def why_none(asked: Sequence[Mode]) -> str:
    """Return the reason why a target is observed in none of the modes asked for."""
    return f"a program has no actors, and {' and '.join(asked)} {'runs' if len(asked) == 1 else 'run'} scenarios"


def undecided(judged: Iterable[Judged]) -> list[Judged]:
    """Return the observations without a verdict that leave their cell without one.

    A target that stress cannot decide, as on one CPU, where the actors never overlap, is decided if explore has decided
    it: explore makes each interleaving and waits for none. A target that explore cannot decide stays open, whatever
    stress has observed.
    """
    every = list(judged)
    explored = {_subject(one) for one in every if one.mode == "explore" and one.verdict == "pass"}
    return [
        one for one in every if one.verdict == "unknown" and not (one.mode == "stress" and _subject(one) in explored)
    ]


def _subject(judged: Judged) -> tuple[str, str | None]:
    return judged.target, judged.method


def observer(mode: Mode) -> Callable[..., Observation]:
    """Return the function that observes in a mode; what it needs is imported only now."""
    if mode == "stress":
        from bench.stress.observe import observe as stressed

        return stressed
    if mode == "explore":
        return _explored
    from bench.repeat.observe import observe as repeated

    return repeated


def _explored(found: Found, *, samples: int | None = None, schedules: int | None = None, **asked: Any) -> Observation:
    """Explore; samples are schedules there."""
    from bench.explore.observe import observe

    return observe(found, schedules=schedules or samples, **asked)
