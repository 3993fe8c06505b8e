"""Parameters of targets: the combinations of their values, their names, and the target that a name stands for.

`@program(..., parameters={"workers": [2, 4]})` declares two targets, `counts[workers=2]` and `counts[workers=4]`. The
processes of a sample know a target by its name alone: they make the combinations again from the declaration.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as type checkers know it: each process of a sample imports this

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

ATTRIBUTE = "__bench_parameters__"
"""The attribute of a decorated function or class that holds its parameters; those without any have none."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")
"""What a text may be made of to stand in a name; others would end a name, or need quotes in a shell."""


def combinations(parameters: Mapping[str, Iterable[object]]) -> dict[str, dict[str, object]]:
    """Return the arguments of each combination by what it adds to a name, as `[workers=2,size=3]`.

    They are in the order of the values given, where the last parameter varies fastest.

    Raises:
        ValueError: if two values of a parameter have one name, or a parameter has none.
    """
    found: dict[str, dict[str, object]] = {"": {}}
    for name, values in parameters.items():
        shown: dict[str, object] = {}
        for number, value in enumerate(values):
            text = _text(name, number, value)
            if text in shown:
                raise ValueError(f"two values of {name} are called {text}")
            shown[text] = value
        if not shown:
            raise ValueError(f"{name} has no values")
        found = {
            f"{before},{name}={text}" if before else f"{name}={text}": {**arguments, name: value}
            for before, arguments in found.items()
            for text, value in shown.items()
        }
    return {f"[{text}]": arguments for text, arguments in found.items() if text}


def _text(name: str, number: int, value: object) -> str:
    """Return what stands for a value in a name: itself where it is short and plain, else parameter and position."""
    if value is None or isinstance(value, (bool, int, float)):
        text = repr(value)
    elif isinstance(value, str):
        text = value
    else:
        text = str(getattr(value, "__name__", ""))
    return text if 0 < len(text) <= 40 and _PLAIN.issuperset(text) else f"{name}{number}"


def declared_name(name: str) -> str:
    """Return the name of the function or class that the target of a name is declared by."""
    return name.partition("[")[0]


class WithArguments:
    """A function or class whose calls get the arguments of one combination; its attributes are those of the original.

    What a class makes is of the class itself, so that it can be sent to other processes.
    """

    def __init__(self, original: Any, arguments: Mapping[str, object]) -> None:
        self._original, self._arguments = original, arguments

    def __call__(self, *args: object) -> Any:
        """Call the original."""
        return self._original(*args, **self._arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def load(module: str, name: str) -> Any:
    """Return the function or class that a target of that name is, importing its module.

    Raises:
        AttributeError: if the module has none of that name.
    """
    found = getattr(importlib.import_module(module), declared_name(name))
    if declared_name(name) == name:
        return found
    known = combinations(getattr(found, ATTRIBUTE, {}))
    if (arguments := known.get(name[len(declared_name(name)) :])) is None:
        raise AttributeError(f"module {module} has no target {name}")
    return WithArguments(found, arguments)
