"""Rules of a project for some of its cells: which run in any case or not at all, and how some run otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bench.cells import Cell, parse_cell
from bench.errors import UsageError
from bench.matrix.patterns import expanded, matching
from bench.values import Json


@dataclass(frozen=True)
class Own:
    """What a cell has of its own in place of the run's settings; `None`, or no variable, leaves it to these."""

    timeout_s: float | None = None
    memory_bytes: int | None = None
    shm_bytes: int | None = None
    pids: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def over(self, other: Own) -> Own:
        """Return this with what it leaves open taken from `other`."""
        return Own(
            self.timeout_s or other.timeout_s,
            self.memory_bytes or other.memory_bytes,
            self.shm_bytes or other.shm_bytes,
            self.pids or other.pids,
            {**other.environment, **self.environment},
        )

    def to_json(self) -> dict[str, Json]:
        """Return what is given, as a JSON object."""
        return {name: item for name, item in asdict(self).items() if item}


@dataclass(frozen=True)
class Rule:
    """A rule for the cells that match its patterns; `run` is `None` where it decides nothing, else it has a reason."""

    cells: str
    run: bool | None = None
    reason: str = ""
    own: Own = field(default_factory=Own)


@dataclass(frozen=True)
class Rules:
    """The rules, of which later ones go before earlier ones, and the patterns of the cells that must have a verdict.

    With `adds`, cells that a rule names whole and that are on no axis are planned too.
    """

    rules: tuple[Rule, ...] = ()
    required: str = ""
    adds: bool = True

    def patterns(self) -> str:
        """Return all patterns of the rules."""
        return " ".join(rule.cells for rule in self.rules)

    def added(self, cells: Iterable[Cell]) -> tuple[Cell, ...]:
        """Return the cells that rules add to those of the axes."""
        there = set(cells)
        wanted = [rule for rule in self.rules if rule.run] if self.adds else []
        named = (one for rule in wanted for text in rule.cells.split() for one in expanded(text))
        return tuple(dict.fromkeys(cell for name in named if (cell := _cell(name)) is not None and cell not in there))

    def left_out(self, name: str) -> str | None:
        """Return why a cell is left out; `None` if it is not."""
        deciding = [rule for rule in self.rules if rule.run is not None and matching(rule.cells, name)]
        return f"left out in [tool.bench]: {deciding[-1].reason}" if deciding and not deciding[-1].run else None

    def without_times(self) -> Rules:
        """Return the rules without time limits, for a command line that gives one."""
        return replace(self, rules=tuple(replace(one, own=replace(one.own, timeout_s=None)) for one in self.rules))

    def own(self, name: str) -> Own:
        """Return what a cell has of its own."""
        found = Own()
        for rule in self.rules:
            if matching(rule.cells, name):
                found = rule.own.over(found)
        return found

    def requires(self, name: str) -> bool:
        """Return whether a cell must have a verdict."""
        return matching(self.required, name) is not None


def _cell(name: str) -> Cell | None:
    try:
        return parse_cell(name)
    except UsageError:
        return None


def own_from_json(data: Mapping[str, Any]) -> Own:
    """Read back what `Own.to_json` returned."""
    names = ("timeout_s", "memory_bytes", "shm_bytes", "pids", "environment")
    return Own(**{name: data[name] for name in names if name in data})
