"""Outcomes of samples, and expectations: the grades that an author gives to outcomes.

The terms are those of jcstress: an outcome is acceptable, interesting or forbidden; one that nobody listed is
forbidden.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from bench.causes import cause_of, class_name, family_has, is_of_python
from bench.errors import UsageError
from bench.values import Json, canonical, decode, encode, same

Kind = Literal["value", "raised", "hang", "deadlock", "crash", "leak"]
Grade = Literal["acceptable", "interesting", "forbidden"]

METHODS = ("fork", "spawn", "forkserver")
"""The start methods of `multiprocessing`, in the order in which reports name them."""

KILL = "kill"
"""Beside the methods in `under`: outcomes of schedules in which explore, told to by `--kills`, has killed a process."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one sample.

    `value` holds the recorded form of the value, for the kind `value` alone. `detail` holds the rest: for `raised` the
    type, its bases, the message, the process and the place; for `hang` the phase, every process's stack, and whether
    the sample may be merely `slow`; for `crash` the signal or exit status and the process; for `leak` what was left
    behind. Where more went wrong in the sample, its `others` hold kind and detail of each: see `parts`. `killed` in it
    are the names of the processes that explore itself has killed before, as it was told to.
    """

    kind: Kind
    value: Json = None
    detail: Mapping[str, Json] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The identity of the outcome in a histogram: equal for equal values, and for one cause, or the same causes."""
        own = _KEYS[self.kind](self)
        # The order in which processes fail is chance: the same failures are one outcome, whichever came first.
        keys = sorted({own, *(_KEYS[one.kind](one) for one in self.parts[1:])})
        return " + ".join(keys) + (" after a kill" if self.killed else "")

    @property
    def killed(self) -> tuple[str, ...]:
        """The processes that explore itself has killed in this sample."""
        found = self.detail.get("killed")
        return tuple(map(str, found)) if isinstance(found, list) else ()

    def after_kill_of(self, names: Sequence[str]) -> Outcome:
        """Return the outcome as that of a sample in which explore has killed these processes; itself if it has none."""
        return Outcome(self.kind, self.value, {**self.detail, "killed": list(names)}) if names else self

    @cached_property
    def parts(self) -> tuple[Outcome, ...]:
        """This outcome, and all else that went wrong in the sample, each as an outcome; each of them is graded."""
        others = self.detail.get("others")
        if not isinstance(others, list):
            return (self,)
        alone = Outcome(self.kind, self.value, {name: one for name, one in self.detail.items() if name != "others"})
        return (alone, *(_part(one).after_kill_of(self.killed) for one in others if isinstance(one, dict)))

    def text(self) -> str:
        """Return the outcome in one line, for a person."""
        first, *others = (_TEXTS[one.kind](one) for one in self.parts)
        if others and self.kind in ("hang", "deadlock"):  # what had failed before that, and may be its cause
            others = [f"first {others[0]}", *(f"also {other}" for other in others[1:])]
        else:
            others = [f"also {other}" for other in others]
        return "; ".join([first, *others]) + (", after a kill" if self.killed else "")


def _part(recorded: Mapping[str, Json]) -> Outcome:
    detail = recorded.get("detail")
    return Outcome(recorded["kind"], detail=detail if isinstance(detail, dict) else {})  # type: ignore[arg-type]  # a kind, by `with_others`


def with_others(outcome: Outcome, others: Sequence[Outcome]) -> Outcome:
    """Return an outcome that holds what else went wrong in its sample; what has the same cause is held once."""
    keys = {outcome.key}
    held: list[Json] = []
    for one in others:
        if one.key not in keys:
            keys.add(one.key)
            detail = {name: item for name, item in one.detail.items() if name != "traceback"}
            held.append({"kind": one.kind, "detail": detail})
    return Outcome(outcome.kind, outcome.value, {**outcome.detail, "others": held}) if held else outcome


def value(observed: object) -> Outcome:
    """Return the outcome of a sample that returned `observed` and all of whose processes ended well."""
    return Outcome("value", encode(observed))


def _get(outcome: Outcome, name: str) -> str:
    found = outcome.detail.get(name)
    return "" if found is None else str(found)


def _role(outcome: Outcome) -> str:
    return "main" if outcome.detail.get("role") == "main" else "child"


def _class(outcome: Outcome) -> str:
    """Return the name of the class that was raised, behind its module unless that is `builtins`."""
    bases = outcome.detail.get("bases")
    return str(bases[0]) if isinstance(bases, list) and bases else _get(outcome, "type")


def _cause(outcome: Outcome) -> str:
    known = _get(outcome, "type") if is_of_python(name := _class(outcome)) else name
    return cause_of(known, _get(outcome, "message"), name)


def _crash_how(outcome: Outcome) -> str:
    return _get(outcome, "signal") or f"exit status {_get(outcome, 'exit')}"


def _left_behind(outcome: Outcome) -> str:
    return ", ".join(kind for kind in sorted(outcome.detail) if kind in LEAKS and outcome.detail[kind])


LEAKS = ("descriptors", "items", "locks", "processes", "segments", "semaphores", "threads")
"""The kinds of leaks; each is a key of a leak's detail. Locks are those that a scenario's actors still hold; items
are left in queues and pipes of its state, and are a leak only where an expectation asks for them (`grades_items`)."""

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
    name = _get(outcome, "type")
    known = _class(outcome) if hasattr(builtins, name) else name  # another class that is called like one of Python's
    return f"raised {known}{message} (in {_get(outcome, 'process') or 'main'}{where})"


_TEXTS: Mapping[Kind, Callable[[Outcome], str]] = {
    "value": lambda o: repr(decode(o.value)),
    "raised": _raised_text,
    "hang": lambda o: ("" if o.detail.get("slow") is True else "hang: ") + (_get(o, "summary") or _get(o, "phase")),
    "deadlock": lambda o: f"deadlock: {_get(o, 'cycle')}",
    "crash": lambda o: f"crash: {_get(o, 'process') or 'a process'} ended with {_crash_how(o)}",
    "leak": lambda o: f"leak: {_get(o, 'summary') or _left_behind(o)}",
}


class Matcher(Protocol):
    """Decides which outcomes an expectation is about."""

    def matches(self, outcome: Outcome) -> bool:
        """Return whether the outcome matches; an exception raised here makes the verdict `unknown`.

        Raises:
            CannotTell: if the value may be what is meant, or another that has the same `repr`.
        """

    def text(self) -> str:
        """Return the matcher in one phrase, for a person."""


@dataclass(frozen=True)
class _Exactly:
    wanted: object

    def matches(self, outcome: Outcome) -> bool:
        return outcome.kind == "value" and same(outcome.value, self.wanted)

    def text(self) -> str:
        return repr(self.wanted)


def is_exact(matcher: Matcher) -> bool:
    """Return whether a matcher is about one value alone."""
    return isinstance(matcher, _Exactly)


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
    types: tuple[type[BaseException] | str, ...]
    pattern: str | None
    role: str | None

    def matches(self, outcome: Outcome) -> bool:
        if outcome.kind != "raised" or (self.role is not None and self.role != _role(outcome)):
            return False
        if self.pattern is not None and not re.search(self.pattern, _get(outcome, "message")):
            return False
        return any(_is_one_of(outcome, wanted) for wanted in self.types)

    def text(self) -> str:
        names = (wanted if isinstance(wanted, str) else wanted.__name__ for wanted in self.types)
        return f"raises {' or '.join(names)}" + (f" in {self.role}" if self.role else "")


def _is_one_of(outcome: Outcome, wanted: type[BaseException] | str) -> bool:
    """Return whether what was raised is of a class, or one derived from it, or of the same cause on another Python."""
    bases = outcome.detail.get("bases")
    names = [str(name) for name in bases] if isinstance(bases, list) else [_get(outcome, "type")]
    if isinstance(wanted, str):
        plain = wanted.removeprefix("builtins.")
        # Without a module it means any class of that name.
        if plain in names or ("." not in wanted and plain in {name.rpartition(".")[2] for name in names}):
            return True
    elif class_name(wanted) in names:
        return True
    known = wanted if isinstance(wanted, str) else class_name(wanted)
    if not (is_of_python(known) and is_of_python(_class(outcome))):
        return False
    return family_has(_get(outcome, "type"), _get(outcome, "message"), known.rpartition(".")[2])


@dataclass(frozen=True)
class _OfKind:
    kind: Kind
    holds: tuple[tuple[str, str], ...] = ()

    def matches(self, outcome: Outcome) -> bool:
        return outcome.kind == self.kind and all(_get(outcome, name) == wanted for name, wanted in self.holds)

    def text(self) -> str:
        return " ".join([self.kind, *(wanted for _, wanted in self.holds)])


def is_crash(matcher: object) -> bool:
    """Return whether something is what `crashes()` returns."""
    return isinstance(matcher, _OfKind) and matcher.kind == "crash"


def signals_of(matchers: Sequence[Matcher]) -> tuple[str, ...]:
    """Return the signals that matchers of crashes are about; empty for one that is about any."""
    return tuple(dict(matcher.holds).get("signal", "") for matcher in matchers if isinstance(matcher, _OfKind))


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
    """Match samples in which a process ended with an exception.

    Args:
        types: classes, or their names where a class is not to be imported; an instance of any of them, or of a class
            derived from it, matches. A class is known by its module and name, so that another class of that name
            is none; a name without a module means any class that is called so. One cause raises other classes on
            other versions of Python: a class that the observed cause is known to raise elsewhere matches too (see
            `bench.causes`).
        match: a regular expression to search for in the message.
        process: only in the main process, or only in a child; `None` means either.
    """
    if not types:
        raise UsageError("raises() needs an exception class, for example raises(OSError)")
    return _Raises(types, match, process)


def hangs(phase: Literal["program", "exit"] | None = None) -> Matcher:
    """Match samples whose deadline passed: while the program ran, or (`exit`) after it returned."""
    return _OfKind("hang", () if phase is None else (("phase", phase),))


def deadlocks() -> Matcher:
    """Match interleavings after which no process can run."""
    return _OfKind("deadlock")


def crashes(signal: str | None = None) -> Matcher:
    """Match samples in which a process was ended by a signal, for example `"SIGSEGV"`, or chose an exit status."""
    return _OfKind("crash", () if signal is None else (("signal", signal),))


def leaks(
    what: Literal["processes", "threads", "segments", "semaphores", "descriptors", "locks", "items"] | None = None,
) -> Matcher:
    """Match samples that left something behind; `None` matches every kind of leak.

    What is left in queues and pipes of a scenario's state is a note beside the value, and no leak. Where an expectation
    has `leaks("items")`, it is one, in every mode, and goes before the value.
    """
    return _Leaks(what)


def grades_items(expectations: Sequence[Expectation]) -> bool:
    """Return whether what is left in queues and pipes is an outcome of its own: an expectation asks for it."""
    return any(isinstance(one.matcher, _Leaks) and one.matcher.what == "items" for one in expectations)


def note_of_items(names: Iterable[str]) -> tuple[str, ...]:
    """Return the warning that queues and pipes of a scenario's state were not empty when its samples had ended."""
    return tuple(f"{name} was not empty at the end of a sample" for name in sorted(set(names)))


@dataclass(frozen=True)
class Conditions:
    """The facts of a cell that can narrow expectations; `cpus` is `None` where the number is not known."""

    method: str
    python: str
    cpus: int | None = None


@dataclass(frozen=True)
class Expectation:
    """A grade for the outcomes that `matcher` matches, in the cells that it is narrowed to.

    `after_kill` narrows it to outcomes of schedules in which explore has killed a process.
    """

    grade: Grade
    matcher: Matcher
    why: str = ""
    under: tuple[str, ...] | None = None
    python: str | None = None
    cpus: int | None = None
    races: bool = False
    after_kill: bool = False

    def covers(self, outcome: Outcome) -> bool:
        """Return whether the expectation is about this outcome, wherever that came."""
        return (bool(outcome.killed) or not self.after_kill) and self.matcher.matches(outcome)

    def applies(self, conditions: Conditions) -> bool:
        """Return whether the expectation applies in a cell with these facts."""
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
    x: object,
    why: str,
    under: str | Sequence[str] | None,
    python: str | None,
    cpus: int | None,
) -> Expectation:
    names = (under,) if isinstance(under, str) else () if under is None else tuple(under)
    for name in names:
        if name not in (*METHODS, KILL):
            raise UsageError(f"under={name!r} is no start method; there are {', '.join(METHODS)}, and {KILL!r}")
    methods = tuple(name for name in names if name != KILL) or (None if under is None or KILL in names else ())
    matcher = x if _is_matcher(x) else _Satisfies(x) if callable(x) else _Exactly(x)
    return Expectation(grade, matcher, why, methods, _checked_python(python), cpus, after_kill=KILL in names)  # type: ignore[arg-type]  # a matcher, by _is_matcher


def _is_matcher(x: object) -> bool:
    return isinstance(x, (_Exactly, _Satisfies, _AnyValue, _Raises, _OfKind, _Leaks))


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
        x: the outcomes that it matches.
        why: the reason, for the report.
        under: the start methods it is narrowed to; `None` means all. `"kill"`, alone or among them: only what comes
            after explore has killed a process (`--kills`). Where no expectation of a scenario names it, only deadlocks
            are looked for after a kill; else what the survivors leave is graded too, by all expectations.
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
    """Forbid `x`, with a reason; the arguments are those of `acceptable`. An unlisted outcome is forbidden as well."""
    return _expectation("forbidden", x, why, under, python, cpus)


def deterministic(x: object, why: str = "nothing else may ever happen") -> tuple[Expectation, ...]:
    """Expect `x` and nothing else, in every cell."""
    return (acceptable(x, why),)


def racy(x: object, why: str = "the race went well") -> tuple[Expectation, ...]:
    """Expect `x` when the race goes well and report every other value; outcomes of other kinds stay forbidden."""
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
    "grades_items",
    "hangs",
    "interesting",
    "is_crash",
    "is_exact",
    "leaks",
    "note_of_items",
    "racy",
    "raises",
    "signals_of",
    "value",
    "with_others",
]
