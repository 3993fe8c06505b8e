"""Figures of an observation: how the samples of mode stress came about, or what an exploration did and shows.

A record keeps them as they were written, with those that this version does not know. The properties here are the typed
way to those that reports and schedule files need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bench.values import Json


@dataclass(frozen=True)
class NotSeen:
    """An outcome that an author lists and no sample gave; `at_most` bounds its rate."""

    outcome: str
    at_most: float


@dataclass(frozen=True)
class StressFigures:
    """The figures of mode stress, as recorded; a property is `None` where the record lacks it."""

    fields: Mapping[str, Json] = field(default_factory=dict)

    @property
    def samples_per_second(self) -> float | None:
        """Samples over all the time, the starts of groups included."""
        return _number(self.fields, "samples_per_second")

    @property
    def collision_rate(self) -> float | None:
        """The share of the stamped samples in which the actors overlapped."""
        return _number(self.fields, "collision_rate")

    @property
    def rebuilt(self) -> float | None:
        """The share of samples for which the state was made anew."""
        return _number(self.fields, "rebuilt")

    @property
    def not_seen(self) -> tuple[NotSeen, ...]:
        """What the author lists and no sample gave."""
        listed = self.fields.get("never_seen")
        objects = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        return tuple(
            NotSeen(str(one.get("outcome")), bound) for one in objects if (bound := _number(one, "at_most")) is not None
        )


@dataclass(frozen=True)
class Origin:
    """The target of an exploration, as a replay elsewhere needs it: its module, and what that is imported from.

    `file` is relative to `root`; without a root the module is found by its name. `pythonpath` are further folders.
    """

    module: str
    root: str | None
    file: str
    python: str
    pythonpath: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that stands in a record."""
        return {
            "module": self.module,
            "root": self.root,
            "file": self.file,
            "python": self.python,
            "pythonpath": list(self.pythonpath),
        }


_WIDE = ("all ", "the only ", "what was not seen ")
"""How the parts of a claim begin that are about more than what was run."""


@dataclass(frozen=True)
class ExploreFigures:
    """The figures of mode explore, as recorded; a property is `None` where the record lacks it."""

    fields: Mapping[str, Json] = field(default_factory=dict)

    @property
    def strategy(self) -> str | None:
        """The strategy that chose the schedules."""
        return _text(self.fields, "strategy")

    @property
    def claim(self) -> str | None:
        """The interleavings for which the outcomes are shown to be all."""
        return _text(self.fields, "claim")

    @property
    def steps_per_second(self) -> float | None:
        """Steps of all schedules over the time in which they ran."""
        return _number(self.fields, "steps_per_second")

    @property
    def seed(self) -> int:
        """The seed of what was random; 0 where the record lacks it."""
        return _count(self.fields, "seed")

    @property
    def asleep(self) -> int:
        """Schedules that were given up, since all that could follow had been seen in others."""
        return _count(self.fields, "asleep")

    @property
    def origin(self) -> Origin | None:
        """The explored target, where the observation names the schedules of its findings."""
        found = self.fields.get("found")
        if not isinstance(found, dict):
            return None
        root, path = found.get("root"), found.get("pythonpath")
        return Origin(
            str(found.get("module")),
            None if root is None else str(root),
            str(found.get("file")),
            str(found.get("python")),
            tuple(map(str, path)) if isinstance(path, list) else (),
        )

    def without_completeness(self) -> ExploreFigures:
        """Return the figures with a claim of no more than what was run, as where the verdict is open.

        Neither that all was run, nor a bound on what was missed, stands beside what was not seen.
        """
        if not self.claim:
            return self
        parts = [part.partition(": a bug ")[0] for part in self.claim.split("; ") if not part.startswith(_WIDE)]
        count = _count(self.fields, "schedules")
        claim = "; ".join(parts) or f"{count:,} schedule{'s' * (count != 1)}, no more"
        return ExploreFigures({**self.fields, "claim": claim, "complete": False})

    def with_schedules(self, origin: Origin, first: str | None) -> ExploreFigures:
        """Return the figures with the origin of the target, and the schedule file of the first finding if any."""
        return ExploreFigures({**self.fields, "found": origin.to_json(), "schedule": first})


Figures: TypeAlias = "StressFigures | ExploreFigures"


def _number(fields: Mapping[str, Json], name: str) -> float | None:
    return found if isinstance(found := fields.get(name), (int, float)) else None


def _count(fields: Mapping[str, Json], name: str) -> int:
    return found if isinstance(found := fields.get(name), int) else 0


def _text(fields: Mapping[str, Json], name: str) -> str | None:
    return str(found) if (found := fields.get(name)) else None
