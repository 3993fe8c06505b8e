"""From states that all actors are through with to counted outcomes, in bulk."""

from __future__ import annotations

from collections import Counter

from bench.values import encode, identity

TYPE_CHECKING = False  # as type checkers know it: each group imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

_BY_THEMSELVES = (int, str, bool, bytes)
"""Types whose equal values are recorded the same, as long as all values are of one of them."""


class Counts:
    """Counts of outcomes since they were last taken: values by their recorded form, the rest with its detail."""

    def __init__(self) -> None:
        self._values: dict[str, list[Any]] = {}
        self._others: dict[str, list[Any]] = {}
        self.samples = 0

    def values(self, values: Iterable[object]) -> None:
        """Count values that samples gave."""
        for value, count in distinct(list(values)):
            recorded = encode(value)
            entry = self._values.setdefault(repr(recorded), [recorded, 0])
            entry[1] += count
            self.samples += count

    def other(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Count one sample that gave no value; the detail of the first of its kind and message is kept."""
        others = [(one["kind"], _named(one["detail"])) for one in detail.get("others", ())]
        key = repr((kind, _named(detail), others))
        self._others.setdefault(key, [kind, dict(detail), 0])[2] += 1
        self.samples += 1

    def take(self) -> dict[str, Any]:
        """Return what was counted, and begin anew."""
        taken = {"values": list(self._values.values()), "others": list(self._others.values()), "samples": self.samples}
        self.__init__()  # type: ignore[misc]  # as empty as it was made
        return taken


def _named(detail: Mapping[str, Any]) -> list[Any]:
    return [detail.get(name) for name in ("type", "bases", "message", "process", "exit", "signal", "summary")]


def distinct(values: Sequence[object]) -> list[tuple[object, int]]:
    """Return equal values of equal types, which `1`, `1.0` and `True` are not, with their counts."""
    kinds = set(map(type, values))
    if len(kinds) == 1 and kinds.pop() in _BY_THEMSELVES:
        return list(Counter(values).items())
    first: dict[object, list[Any]] = {}
    for value in values:
        first.setdefault(identity(value), [value, 0])[1] += 1
    return [(value, count) for value, count in first.values()]


def results(states: Sequence[Any], result: Callable[[Any], object]) -> tuple[list[object], dict[int, BaseException]]:
    """Return the results of states, and the exceptions of those whose `result` raised, by position.

    `result` is called once for each state, in order: it may empty queues.
    """
    found: list[object] = []
    raised: dict[int, BaseException] = {}
    going = iter(states)
    while True:
        try:
            for value in map(result, going):
                found.append(value)  # noqa: PERF402  # what came before an exception is kept
            return found, raised
        except BaseException as error:  # noqa: BLE001  # the user's
            raised[len(found)] = error
            found.append(None)
