"""Sampling: in which modes targets are observed, how many samples, for how long, and from which seed.

Command line, configuration, plan, cell and pytest plugin hand it on to each other, so its options are spelled here
alone. The plugin loads this in every pytest, so it imports little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

from bench.errors import UsageError

T = TypeVar("T", int, float)

Mode = Literal["repeat", "stress", "explore"]

MODES: tuple[Mode, ...] = ("repeat", "stress", "explore")
"""Every mode, in the order in which a target goes through them."""

TIMED: frozenset[Mode] = frozenset({"stress", "explore"})
"""The modes that go on for a time; repeat takes a number of samples."""

NAMES = ("seed", "mode", "samples", "seconds", "deadline")
"""The options, without the dashes and prefix that a command line puts before them."""


@dataclass(frozen=True)
class Sampling:
    """How targets are sampled; `None`, and no modes, leave a setting to the target or the mode.

    `samples` and `seconds` bound one target in one mode. After `deadline_s` seconds one sample counts as a hang.
    """

    modes: tuple[Mode, ...] = ()
    samples: int | None = None
    seconds: float | None = None
    deadline_s: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if wrong := [mode for mode in self.modes if mode not in MODES]:
            raise UsageError(f"unknown mode {wrong[0]!r}; there are {', '.join(MODES)}")
        for name in ("samples", "seconds", "deadline_s"):
            number = getattr(self, name)
            if number is not None and not 0 < number < math.inf:
                raise UsageError(f"{name.removesuffix('_s')} is {number:g}; give more than 0")

    def with_defaults(self, other: Sampling) -> Sampling:
        """Return this sampling with each setting that it leaves open taken from `other`; the seed is its own."""
        return Sampling(
            self.modes or other.modes,
            self.samples or other.samples,
            self.seconds or other.seconds,
            self.deadline_s or other.deadline_s,
            self.seed,
        )

    def of_mode(self, mode: Mode, budget_s: float | None = None) -> Sampling:
        """Return what bounds an observation in one of the modes.

        Where several modes are asked for, a number of samples is meant for repeat: timed modes take as many in no time.

        Args:
            mode: the mode.
            budget_s: the seconds where neither seconds nor samples are given; `None` leaves them open.
        """
        samples = self.samples if mode not in TIMED or len(self.modes) == 1 else None
        seconds = self.seconds or (budget_s if samples is None else None)
        return replace(self, modes=(mode,), samples=samples, seconds=seconds)

    def keywords(self) -> dict[str, Any]:
        """Return the bounds and the seed as the keyword arguments that every mode's observer takes."""
        return {name: getattr(self, name) for name in ("samples", "seconds", "deadline_s", "seed")}

    def to_arguments(self, prefix: str = "--") -> list[str]:
        """Return the options of a command line that says the same, each name after `prefix`."""
        words = [f"{prefix}seed", str(self.seed)]
        words += [word for mode in self.modes for word in (f"{prefix}mode", mode)]
        numbers = {"samples": self.samples, "seconds": self.seconds, "deadline": self.deadline_s}
        for name, number in numbers.items():
            if number is not None:
                words += [f"{prefix}{name}", _shortest(number)]
        return words

    @classmethod
    def from_arguments(cls, given: Mapping[str, object], prefix: str = "--") -> Sampling:
        """Read the options of a command line.

        Args:
            given: the text of each of `NAMES`, `None` where it was not given; `mode` is a list of texts.
            prefix: what stands before a name on that command line, for messages.

        Raises:
            UsageError: if one of them is wrong, naming the option.
        """
        return cls(
            parse_modes(cast("Iterable[str]", given["mode"] or ()), f"{prefix}mode"),
            parse_number(f"{prefix}samples", given["samples"], int, least=1),
            parse_number(f"{prefix}seconds", given["seconds"], float, above=0.0),
            parse_number(f"{prefix}deadline", given["deadline"], float, above=0.0),
            parse_number(f"{prefix}seed", given["seed"], int, least=0) or 0,
        )


def _shortest(number: float) -> str:
    """Return the shortest text that reads back as the same number, of the same type."""
    short = f"{number:g}"
    return short if isinstance(number, float) and float(short) == number else repr(number)


def parse_modes(texts: Iterable[str], where: str = "mode") -> tuple[Mode, ...]:
    """Return the modes that texts name, each once, in their order; a text may hold several, separated by commas.

    Raises:
        UsageError: if there is no such mode, naming `where` it was given.
    """
    names = [name for text in texts for name in text.replace(",", " ").split()]
    if wrong := next((name for name in names if name not in MODES), None):
        raise UsageError(f"{where} {wrong!r}: there are {', '.join(MODES[:-1])} and {MODES[-1]}")
    return tuple(mode for mode in MODES if mode in names)


def parse_number(
    option: str, text: object, kind: Callable[[str], T], *, least: float = -math.inf, above: float = -math.inf
) -> T | None:
    """Read the number that an option has; `None` where it was not given.

    Raises:
        UsageError: unless it is of this kind, finite, at least `least` and more than `above`.
    """
    if text is None:
        return None
    try:
        number = kind(str(text))
        fits = math.isfinite(number) and number >= least and number > above
    except (ValueError, OverflowError):
        fits = False
    if not fits:
        bound = f" from {least:g}" if least > -math.inf else f" above {above:g}"
        raise UsageError(f"{option} {text!r}: give a {'whole number' if kind is int else 'number'}{bound}")
    return number
