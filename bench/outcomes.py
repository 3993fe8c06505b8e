"""Outcomes: what one sample gave; and expectations: what its author says of each.

The terms are those of jcstress: an outcome is acceptable, interesting or forbidden; what nobody listed is forbidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from bench.causes import cause_of, family_has
from bench.errors import UsageError
from bench.values import Json, canonical, decode, encode, same

Kind = Literal["value", "raised", "hang", "deadlock", "crash", "leak"]
Grade = Literal["acceptable", "interesting", "forbidden"]

METHODS = ("fork", "spawn", "forkserver")
"""The start methods of `multiprocessing`, in the order in which reports name them."""


@dataclass(frozen=True)
class Outcome:
    """What one sample gave.

    `value` holds the recorded form of the value, for the kind `value` alone. `detail` says the rest: for `raised` the
    type, its bases, the message, the process and the place; for `hang` the phase and every process's stack; for
    `crash` the signal or exit status and the process; for `leak` what was left behind.
    """

    kind: Kind
    value: Json = None
    detail: Mapping[str, Json] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The identity of the outcome in a histogram: equal for samples that gave the same for the same cause."""
        return _KEYS[self.kind](self)

    def text(self) -> str:
        """One line for a person."""
        return _TEXTS[self.kind](self)


def value(observed: object) -> Outcome:
    """Make the outcome of a sample that returned `observed`, all of whose processes ended well."""
    return Outcome("value", encode(observed))


def _get(outcome: Outcome, name: str) -> str:
    found = outcome.detail.get(name)
    return "" if found is None else str(found)


def _role(outcome: Outcome) -> str:
    return "main" if outcome.detail.get("role") == "main" else "child"


def _cause(outcome: Outcome) -> str:
    return cause_of(_get(outcome, "type"), _get(outcome, "message"))


def _crash_how(outcome: Outcome) -> str:
    return _get(outcome, "signal") or f"exit status {_get(outcome, 'exit')}"


def _left_behind(outcome: Outcome) -> str:
    return ", ".join(kind for kind in sorted(outcome.detail) if kind in LEAKS and outcome.detail[kind])


LEAKS = ("descriptors", "items", "locks", "processes", "segments", "semaphores", "threads")
"""What a sample can leave behind; each is a key of a leak's detail. A scenario's actors can also leave locks held,
and items in queues and pipes of its state."""

_KEYS: Mapping[Kind, Callable[[Outcome], str]] = {
    "value": lambda o: f"value {canonical(o.value)}",
    "raised": lambda o: f"raised {_role(o)} {_cause(o)}",
    "hang": lambda o: f"hang {_get(o, 'phase')}",
    "deadlock": lambda o: f"deadlock {_get(o, 'cycle')}",
    "crash": lambda o: f"crash {_role(o)} {_crash_how(o)}",
    "leak": lambda o: f"leak {_left_behind(o)}",
}


def _raised_text(outcome: Outcome) -> str:
    where = f" at {place}" if (place := _get(outcome, "where")) else ""
    message = f": {text}" if (text := _get(outcome, "message")) else ""
    return f"raised {_get(outcome, 'type')}{message} (in {_get(outcome, 'process') or 'main'}{where})"


_TEXTS: Mapping[Kind, Callable[[Outcome], str]] = {
    "value": lambda o: repr(decode(o.value)),
    "raised": _raised_text,
    "hang": lambda o: f"hang: {_get(o, 'summary') or _get(o, 'phase')}",
    "deadlock": lambda o: f"deadlock: {_get(o, 'cycle')}",
    "crash": lambda o: f"crash: {_get(o, 'process') or 'a process'} ended with {_crash_how(o)}",
    "leak": lambda o: f"leak: {_get(o, 'summary') or _left_behind(o)}",
}


class Matcher(Protocol):
    """Says whether an expectation is about an outcome."""

    def matches(self, outcome: Outcome) -> bool:
        """Tell whether the outcome is meant; an exception out of here makes the verdict `unknown`."""

    def text(self) -> str:
        """One phrase for a person."""


@dataclass(frozen=True)
class _Exactly:
    wanted: object

    def matches(self, outcome: Outcome) -> bool:
        return outcome.kind == "value" and same(outcome.value, self.wanted)

    def text(self) -> str:
        return repr(self.wanted)


@dataclass(frozen=True)
class _Satisfies:
    predicate: Callable[[object], object]

    def matches(self, outcome: Outcome) -> bool:
        return outcome.kind == "value" and bool(self.predicate(decode(outcome.value)))

    def text(self) -> str:
        return f"values that satisfy {getattr(self.predicate, '__name__', 'a predicate')}"


@dataclass(frozen=True)
class _AnyValue:
    def matches(self, outcome: Outcome) -> bool:
        return outcome.kind == "value"

    def text(self) -> str:
        return "any other value"


@dataclass(frozen=True)
class _Raises:
    types: tuple[str, ...]
    pattern: str | None
    role: str | None

    def matches(self, outcome: Outcome) -> bool:
        if outcome.kind != "raised" or (self.role is not None and self.role != _role(outcome)):
            return False
        message = _get(outcome, "message")
        if self.pattern is not None and not re.search(self.pattern, message):
            return False
        bases = outcome.detail.get("bases")
        names = {_get(outcome, "type"), *(map(str, bases) if isinstance(bases, list) else ())}
        return bool(names.intersection(self.types)) or any(
            family_has(_get(outcome, "type"), message, wanted) for wanted in self.types
        )

    def text(self) -> str:
        return f"raises {' or '.join(self.types)}" + (f" in {self.role}" if self.role else "")


@dataclass(frozen=True)
class _OfKind:
    kind: Kind
    holds: tuple[tuple[str, str], ...] = ()

    def matches(self, outcome: Outcome) -> bool:
        return outcome.kind == self.kind and all(_get(outcome, name) == wanted for name, wanted in self.holds)

    def text(self) -> str:
        return " ".join([self.kind, *(wanted for _, wanted in self.holds)])


@dataclass(frozen=True)
class _Leaks:
    what: str | None

    def matches(self, outcome: Outcome) -> bool:
        return outcome.kind == "leak" and (self.what is None or bool(outcome.detail.get(self.what)))

    def text(self) -> str:
        return f"leaks {self.what or 'anything'}"


def raises(
    *types: type[BaseException] | str, match: str | None = None, process: Literal["main", "child"] | None = None
) -> Matcher:
    """Mean samples in which a process ended by an exception.

    Args:
        types: classes, or their names where a class is not to be imported; one of them or of its subclasses. One
            cause has other classes on other versions of Python: a class that the observed cause is known to raise
            elsewhere matches too (see `bench.causes`).
        match: a regular expression to be found in the message.
        process: only in the main process, or only in a child; `None` means either.
    """
    if not types:
        raise UsageError("raises() needs an exception class, for example raises(OSError)")
    return _Raises(tuple(t if isinstance(t, str) else t.__name__ for t in types), match, process)


def hangs(phase: Literal["program", "exit"] | None = None) -> Matcher:
    """Mean samples whose deadline passed: while the program ran, or (`exit`) after it returned."""
    return _OfKind("hang", () if phase is None else (("phase", phase),))


def deadlocks() -> Matcher:
    """Mean interleavings after which no process can run."""
    return _OfKind("deadlock")


def crashes(signal: str | None = None) -> Matcher:
    """Mean samples in which a process ended by a signal, for example `"SIGSEGV"`, or by an exit status of its own."""
    return _OfKind("crash", () if signal is None else (("signal", signal),))


def leaks(
    what: Literal["processes", "threads", "segments", "semaphores", "descriptors", "locks", "items"] | None = None,
) -> Matcher:
    """Mean samples that left something behind."""
    return _Leaks(what)


@dataclass(frozen=True)
class Conditions:
    """The facts of a cell that expectations may be narrowed by."""

    method: str
    python: str
    cpus: int | None = None


@dataclass(frozen=True)
class Expectation:
    """A grade for the outcomes that `matcher` means, in the cells that it is narrowed to."""

    grade: Grade
    matcher: Matcher
    why: str = ""
    under: tuple[str, ...] | None = None
    python: str | None = None
    cpus: int | None = None
    races: bool = False

    def applies(self, conditions: Conditions) -> bool:
        """Tell whether the expectation speaks of a cell with these facts."""
        if self.under is not None and conditions.method not in self.under:
            return False
        if self.cpus is not None and conditions.cpus != self.cpus:
            return False
        return self.python is None or _version_in(conditions.python, self.python)


def _version_in(version: str, specifier: str) -> bool:
    # Imported here: most expectations are not narrowed by version, and `import bench` stays quick.
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


def _checked_python(specifier: str | None) -> str | None:
    if specifier is None:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(specifier)
    except InvalidSpecifier:
        message = f"python={specifier!r} is not a version specifier; write for example python='>=3.14'"
        raise UsageError(message) from None
    return specifier


def _expectation(
    grade: Grade,
    meant: object,
    why: str,
    under: str | Sequence[str] | None,
    python: str | None,
    cpus: int | None,
) -> Expectation:
    methods = (under,) if isinstance(under, str) else None if under is None else tuple(under)
    for method in methods or ():
        if method not in METHODS:
            raise UsageError(f"under={method!r} is no start method; there are {', '.join(METHODS)}")
    matcher = meant if _is_matcher(meant) else _Satisfies(meant) if callable(meant) else _Exactly(meant)
    return Expectation(grade, matcher, why, methods, _checked_python(python), cpus)  # type: ignore[arg-type]  # _is_matcher has told it apart


def _is_matcher(meant: object) -> bool:
    return isinstance(meant, (_Exactly, _Satisfies, _AnyValue, _Raises, _OfKind, _Leaks))


def acceptable(
    x: object,
    why: str = "",
    *,
    under: str | Sequence[str] | None = None,
    python: str | None = None,
    cpus: int | None = None,
) -> Expectation:
    """Expect `x`: a value, a predicate of the value, or `raises()`, `hangs()`, `deadlocks()`, `crashes()`, `leaks()`.

    Args:
        x: what is meant.
        why: the reason, for the report.
        under: the start methods it is narrowed to; `None` means all.
        python: the versions it is narrowed to, as a version specifier such as `>=3.14`; `None` means all.
        cpus: the number of CPUs it is narrowed to; `None` means any.

    Raises:
        UsageError: if `under` or `python` cannot be understood.
    """
    return _expectation("acceptable", x, why, under, python, cpus)


def interesting(
    x: object,
    why: str = "",
    *,
    under: str | Sequence[str] | None = None,
    python: str | None = None,
    cpus: int | None = None,
) -> Expectation:
    """Allow `x` and have it reported; the arguments are those of `acceptable`."""
    return _expectation("interesting", x, why, under, python, cpus)


def forbidden(
    x: object,
    why: str = "",
    *,
    under: str | Sequence[str] | None = None,
    python: str | None = None,
    cpus: int | None = None,
) -> Expectation:
    """Forbid `x`, with a reason; the arguments are those of `acceptable`. What nobody listed is forbidden as well."""
    return _expectation("forbidden", x, why, under, python, cpus)


def deterministic(x: object, why: str = "nothing else may ever happen") -> tuple[Expectation, ...]:
    """Expect `x` and nothing else, in every cell."""
    return (acceptable(x, why),)


def racy(x: object, why: str = "the race went well") -> tuple[Expectation, ...]:
    """Expect `x` when the race goes well and report every other value; what is no value stays forbidden."""
    return (
        Expectation("acceptable", _expectation("acceptable", x, why, None, None, None).matcher, why, races=True),
        Expectation("interesting", _AnyValue(), "nothing protects it: the race went another way", races=True),
    )


__all__ = [
    "LEAKS",
    "METHODS",
    "Conditions",
    "Expectation",
    "Grade",
    "Kind",
    "Matcher",
    "Outcome",
    "acceptable",
    "crashes",
    "deadlocks",
    "deterministic",
    "forbidden",
    "hangs",
    "interesting",
    "leaks",
    "racy",
    "raises",
    "value",
]
