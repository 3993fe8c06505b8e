"""Causes of exceptions: one cause raises other classes, with other messages, on other versions of Python.

The families are those observed on CPython 3.10 to 3.15 and PyPy 3.11.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class _Sign:
    """One form of a cause: an exception class, and a pattern found in its message."""

    type: str
    pattern: str


_FAMILIES: Mapping[str, tuple[_Sign, ...]] = {
    "not picklable": (
        _Sign("AttributeError", r"^Can't (pickle|get) local object"),
        _Sign("PicklingError", r""),
        _Sign("TypeError", r"^cannot pickle"),
    ),
    "child cannot import it": (
        _Sign("AttributeError", r"^(Can't get attribute|module '__main__' has no attribute)"),
        _Sign("FileNotFoundError", r"<stdin>"),
        _Sign("ModuleNotFoundError", r"^No module named '__m"),
    ),
    "no main guard": (_Sign("RuntimeError", r"bootstrapping phase"),),
    "forkserver died": (
        _Sign("EOFError", r"unexpected EOF"),
        _Sign("ConnectionResetError", r""),
        _Sign("ConnectionRefusedError", r""),
    ),
    "bad descriptor": (_Sign("OSError", r"Bad file descriptor"),),
    "no space": (_Sign("OSError", r"No space left on device"),),
}

_NOISE = (
    (re.compile(r"0x[0-9a-fA-F]+"), "0x…"),
    (re.compile(r"/?\b(mp|psm|pym|pymp|wnsm)[-_][0-9A-Za-z_]+"), r"\1-…"),
    (re.compile(r"/tmp/[^\s'\":]+"), "/tmp/…"),
    (re.compile(r"\b(pid|process|Process-|ForkProcess-|SpawnProcess-|ForkServerProcess-)[ =]?\d+", re.I), r"\1…"),
)


def normalise(message: str) -> str:
    """Return a message without what differs from run to run: addresses, pids, generated names, temporary paths."""
    for pattern, instead in _NOISE:
        message = pattern.sub(instead, message)
    return message


def family_of(type_name: str, message: str) -> str | None:
    """Return the name of the family that an exception belongs to, or `None`."""
    for family, signs in _FAMILIES.items():
        if any(sign.type == type_name and re.search(sign.pattern, message) for sign in signs):
            return family
    return None


def class_name(kind: type[BaseException]) -> str:
    """Return the name of an exception class as outcomes have it: behind its module, unless that is `builtins`."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def is_of_python(name: str) -> bool:
    """Return whether a class of that name, as `class_name` gives it, comes with Python: only these have families."""
    return "." not in name or name.partition(".")[0] in sys.stdlib_module_names


def cause_of(type_name: str, message: str, full_name: str | None = None) -> str:
    """Return the cause of an exception: its family, or else its class, by the full name if given, and its message."""
    return family_of(type_name, message) or f"{full_name or type_name}: {normalise(message)}"


def family_has(type_name: str, message: str, wanted: str) -> bool:
    """Return whether an exception belongs to a family that raises class `wanted` on some version of Python."""
    family = family_of(type_name, message)
    return family is not None and any(sign.type == wanted for sign in _FAMILIES[family])
