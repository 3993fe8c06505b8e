"""Declarations of targets: programs, and scenarios with actors."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from bench import parameters as parametrized
from bench.errors import UsageError
from bench.outcomes import Expectation, Matcher, is_crash

F = TypeVar("F", bound=Callable[..., object])
C = TypeVar("C", bound=type)

ATTRIBUTE = "__bench__"
"""The attribute of a decorated function or class that holds its targets: one, or one for each combination."""

_DEFINED = "__bench_defined__"
"""The attribute of a module that lists the targets declared in it."""

ACTOR = "__bench_actor__"
"""The attribute that marks a method as an actor."""

LEAST_ACTORS = 2


@dataclass(frozen=True)
class Target:
    """A declared program or scenario.

    `deadline_s` bounds one sample; `samples` is the number that a run in mode repeat takes by default. `None` leaves
    either to the default of the mode. `tolerates` are the bad ends of other processes beside which a value counts.
    """

    module: str
    name: str
    file: str
    line: int
    summary: str
    expectations: tuple[Expectation, ...]
    samples: int | None = None
    deadline_s: float | None = None
    tolerates: tuple[Matcher, ...] = ()

    @property
    def declared_name(self) -> str:
        """The name of the function or class, which targets with parameters share."""
        return parametrized.declared_name(self.name)

    @property
    def target(self) -> str:
        """The name of the target in commands and records: `module:name`."""
        return f"{self.module}:{self.name}"

    @property
    def races(self) -> bool:
        """Whether the author declared the target racy."""
        return any(expectation.races for expectation in self.expectations)


@dataclass(frozen=True)
class Program(Target):
    """A function `f(mp)` that starts processes and returns what it observed."""


@dataclass(frozen=True)
class Scenario(Target):
    """A class: state made in `__init__(self, mp)`, actors that run at once, and `result(self)`, read at the end.

    `actors` names the methods, in the order in which they stand; each runs in a process of its own.
    """

    actors: tuple[str, ...] = ()


def actors_of(target: Target) -> tuple[str, ...]:
    """Return the names of a target's actors; a program has none."""
    return target.actors if isinstance(target, Scenario) else ()


def targets_of(declared: object) -> tuple[Target, ...]:
    """Return the targets that a decorated function or class stands for; none if it is not decorated itself."""
    found: tuple[Target, ...] = vars(declared).get(ATTRIBUTE, ())
    return found


def program(
    *expectations: Expectation | Iterable[Expectation],
    samples: int | None = None,
    deadline_s: float | None = None,
    parameters: Mapping[str, Iterable[object]] | None = None,
    tolerates: Matcher | Iterable[Matcher] = (),
) -> Callable[[F], F]:
    """Declare a function `f(mp)` to be a program, with its expectations; the function itself is not changed.

    Args:
        expectations: the first that matches an outcome grades it; an outcome that none matches is forbidden.
        samples: how many samples a run takes by default.
        deadline_s: how long one sample may take before it counts as a hang.
        parameters: values of further arguments; each combination is a target of its own, `f[workers=4]`.
        tolerates: ends of other processes that are meant, as `crashes("SIGKILL")` of a worker that is killed on
            purpose: where nothing else goes wrong, the value is graded all the same.

    Raises:
        UsageError: if the function takes no context, is nested in another, or an argument is out of range.
    """
    flat = tuple(_flatten(expectations, "program"))
    _check_bounds("program", samples, deadline_s)
    meant = _tolerated("program", tolerates)

    def declare(function: F) -> F:
        _define(function, replace(_program_of(function, flat, samples, deadline_s), tolerates=meant), parameters)
        return function

    return declare


def scenario(
    *expectations: Expectation | Iterable[Expectation],
    samples: int | None = None,
    deadline_s: float | None = None,
    parameters: Mapping[str, Iterable[object]] | None = None,
    tolerates: Matcher | Iterable[Matcher] = (),
) -> Callable[[C], C]:
    """Declare a class to be a scenario, with its expectations; the class itself is not changed.

    Args:
        expectations: the first that matches an outcome grades it; an outcome that none matches is forbidden.
        samples: how many samples a run in repeat mode takes by default.
        deadline_s: how long one sample may take before it counts as a hang; under stress, how long the actors may go
            without progress, 1 s by default: a single call that takes longer is a hang there.
        parameters: values of further arguments of `__init__`; each combination is a target, `Kind[workers=4]`.
        tolerates: ends of actors and other processes that are meant, as `crashes("SIGKILL")`: the value is graded all
            the same. Of samples in which an actor's own process ends so, mode repeat alone has the value.

    Raises:
        UsageError: if the class lacks actors or a `result`, is nested in a function, or an argument is out of range.
    """
    flat = tuple(_flatten(expectations, "scenario"))
    _check_bounds("scenario", samples, deadline_s)
    meant = _tolerated("scenario", tolerates)

    def declare(kind: C) -> C:
        _define(kind, replace(_scenario_of(kind, flat, samples, deadline_s), tolerates=meant), parameters)
        return kind

    return declare


def actor(method: F) -> F:
    """Declare a method of a scenario to be an actor: each runs in a process of its own, all at once.

    It takes `self` alone and returns nothing: it writes what it observes into the state.

    Raises:
        UsageError: if it is no plain method that takes `self` alone.
    """
    if not inspect.isfunction(method):
        raise UsageError(f"@actor decorates a method that takes self alone, not {method!r}; write it without brackets")
    place = f"{method.__code__.co_filename}:{method.__code__.co_firstlineno}"
    if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
        raise UsageError(f"{place}: the actor {method.__name__} is no plain method: nobody would run what it returns")
    needed = [one for one in inspect.signature(method).parameters.values() if one.default is one.empty]
    if len(needed) != 1 or needed[0].kind not in (needed[0].POSITIONAL_ONLY, needed[0].POSITIONAL_OR_KEYWORD):
        raise UsageError(f"{place}: the actor {method.__name__} takes self alone; write def {method.__name__}(self)")
    setattr(method, ACTOR, True)
    return method


def _check_bounds(word: str, samples: int | None, deadline_s: float | None) -> None:
    if samples is not None and samples < 1:
        raise UsageError(f"{word}(samples={samples}): at least one sample is needed")
    if deadline_s is not None and not deadline_s > 0:
        raise UsageError(f"{word}(deadline_s={deadline_s}): give a time in seconds, more than 0")


def _tolerated(word: str, given: Matcher | Iterable[Matcher]) -> tuple[Matcher, ...]:
    several = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if not all(map(is_crash, several)):
        raise UsageError(
            f'{word}(tolerates=...) takes ends of processes; write for example tolerates=crashes("SIGKILL")'
        )
    return several


def _define(declared: Callable[..., object], target: Target, parameters: Mapping[str, Iterable[object]] | None) -> None:
    targets = (target,) if parameters is None else _combined(declared, target, parameters)
    setattr(declared, ATTRIBUTE, targets)
    if (module := sys.modules.get(target.module)) is None:
        return
    spec, defined = vars(module).get(_DEFINED, (None, []))
    if spec is not module.__spec__:  # importlib.reload makes a new one, and declares everything again
        defined = []
    setattr(module, _DEFINED, (module.__spec__, [*defined, *targets]))


def _combined(
    declared: Callable[..., object], target: Target, parameters: Mapping[str, Iterable[object]]
) -> tuple[Target, ...]:
    """Return a target for each combination of parameters, and note the parameters where samples look for them."""
    place = f"{target.file}:{target.line}: {target.name}"
    try:
        values = {str(name): list(one) for name, one in parameters.items()}
        combinations = parametrized.combinations(values)
    except (AttributeError, TypeError):
        raise UsageError(f'{place}: parameters are names with lists of values, as {{"workers": [2, 4]}}') from None
    except ValueError as error:
        raise UsageError(f"{place}: parameters: {error}") from None
    if not combinations:
        raise UsageError(f'{place}: parameters are empty; give names with values, as {{"workers": [2, 4]}}')
    try:
        inspect.signature(declared).bind(None, **next(iter(combinations.values())))
    except TypeError as error:
        raise UsageError(f"{place} does not take its parameters: {error}") from None
    setattr(declared, parametrized.ATTRIBUTE, values)
    return tuple(replace(target, name=target.name + suffix) for suffix in combinations)


def _flatten(expectations: Iterable[Expectation | Iterable[Expectation]], word: str) -> Iterable[Expectation]:
    for one in expectations:
        if isinstance(one, Expectation):
            yield one
        elif isinstance(one, (tuple, list)):
            yield from _flatten(one, word)
        else:
            shown = getattr(one, "__qualname__", repr(one))
            raise UsageError(f"{shown} is no expectation; write for example @{word}(deterministic(200))")


def _program_of(
    function: Callable[..., object],
    expectations: tuple[Expectation, ...],
    samples: int | None,
    deadline_s: float | None,
) -> Program:
    if not inspect.isfunction(function):
        raise UsageError("@program(...) decorates a function f(mp); were the brackets forgotten?")
    code = function.__code__
    place = f"{code.co_filename}:{code.co_firstlineno}"
    if "<locals>" in function.__qualname__:
        raise UsageError(f"{place}: {function.__qualname__} is nested in a function; a program stands in its module")
    if not inspect.signature(function).parameters:
        raise UsageError(f"{place}: {function.__qualname__} takes no context; write def {function.__name__}(mp)")
    summary = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
    return Program(
        function.__module__,
        function.__qualname__,
        code.co_filename,
        code.co_firstlineno,
        summary,
        expectations,
        samples,
        deadline_s,
    )


def _scenario_of(
    kind: type,
    expectations: tuple[Expectation, ...],
    samples: int | None,
    deadline_s: float | None,
) -> Scenario:
    if not inspect.isclass(kind):
        raise UsageError("@scenario(...) decorates a class; were the brackets forgotten?")
    actors = _actors_of(kind)
    file, line = _place_of(kind, actors)
    place = f"{file}:{line}: {kind.__qualname__}"
    if "." in kind.__qualname__:
        where = "a function" if "<locals>" in kind.__qualname__ else "a class"
        raise UsageError(f"{place} is nested in {where}; a scenario stands in its module")
    if len(actors) < LEAST_ACTORS:
        has = f"one actor, {actors[0]}" if actors else "no actor"
        raise UsageError(f"{place} has {has}; two or more methods need @actor, since one alone races with nobody")
    _check_methods(kind, place)
    summary = " ".join((inspect.cleandoc(kind.__doc__ or "")).partition("\n\n")[0].split())
    return Scenario(
        kind.__module__, kind.__qualname__, file, line, summary, expectations, samples, deadline_s, (), actors
    )


def _actors_of(kind: type) -> tuple[str, ...]:
    """Return the names of the actors, those of base classes first; a method that overrides an actor is one."""
    found = [name for each in reversed(kind.__mro__) for name, item in vars(each).items() if hasattr(item, ACTOR)]
    return tuple(dict.fromkeys(found))


def _place_of(kind: type, actors: tuple[str, ...]) -> tuple[str, int]:
    functions = [item for item in vars(kind).values() if inspect.isfunction(item)]
    functions += [getattr(kind, name) for name in actors]
    if (line := vars(kind).get("__firstlineno__")) is not None and functions:  # from Python 3.13 on
        return functions[0].__code__.co_filename, int(line)
    try:
        return inspect.getsourcefile(kind) or "?", inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):
        code = functions[0].__code__ if functions else None
        return (code.co_filename, code.co_firstlineno) if code else ("?", 0)


def _check_methods(kind: type, place: str) -> None:
    if not inspect.isfunction(inspect.getattr_static(kind, "result", None)):
        raise UsageError(f"{place} has no result; write def result(self), which returns what is to be judged")
    if len(inspect.signature(inspect.getattr_static(kind, "result")).parameters) != 1:
        raise UsageError(f"{place}.result takes self alone; write def result(self)")
    start = inspect.getattr_static(kind, "__init__")
    if not inspect.isfunction(start) or len(inspect.signature(start).parameters) < 2:
        raise UsageError(f"{place} takes no context; write def __init__(self, mp), which makes the state")


def defined_in(module: object) -> tuple[Target, ...]:
    """Return the targets that a module itself declares, in their order.

    Raises:
        UsageError: if two of them have one name, so that the later hides the earlier, or one is not to be found in its
            module by its name, so that no other process could call it.
    """
    _, defined = getattr(module, _DEFINED, (None, ()))
    found = [one for one in defined if one.module == getattr(module, "__name__", None)]
    by_name: dict[str, Target] = {}
    for one in found:
        if (other := by_name.setdefault(one.name, one)) is not one:
            raise UsageError(
                f"two programs named {one.name}: {other.file}:{other.line} and line {one.line}; rename one, "
                "or, where they differ in a value alone, declare one with parameters={...}"
            )
        if ATTRIBUTE not in getattr(getattr(module, one.declared_name, None), "__dict__", {}) and "." not in one.name:
            raise UsageError(
                f"{one.file}:{one.line}: its module has no {one.declared_name}, the name that it was declared by; "
                "assign it to that name"
            )
    return tuple(sorted(found, key=lambda one: one.line))
