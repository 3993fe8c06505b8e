"""The users' words in the processes of a sample: nothing is graded there, so that they cost nothing.

Without this, each start of a process would import expectations and all that they need, 35 ms of the 90 that a sample
under fork takes.
"""

from __future__ import annotations

from bench.parameters import ATTRIBUTE

TYPE_CHECKING = False  # as type checkers know it

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    F = TypeVar("F", bound=Callable[..., object])


def program(*_: object, parameters: Mapping[str, Iterable[object]] | None = None, **__: object) -> Callable[[F], F]:
    """Return a decorator that leaves the function or class as it is, as those of `bench.declared` do.

    Its parameters stay with it: a target is known by its name, which stands for one combination of them.
    """
    if parameters is None:
        return _as_it_is

    def with_parameters(function: F) -> F:
        setattr(function, ATTRIBUTE, {name: list(values) for name, values in parameters.items()})
        return function

    return with_parameters


scenario = program


def _as_it_is(function: F) -> F:
    return function


actor = _as_it_is  # the orders of a sample or group name the actors


def _nothing(*_: object, **__: object) -> None:
    """Stand for an expectation."""


acceptable = crashes = deadlocks = deterministic = forbidden = hangs = interesting = leaks = racy = raises = _nothing
