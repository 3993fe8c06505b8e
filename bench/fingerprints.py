"""Fingerprints of values: the same in each process for the same content, whatever a `repr` shows of it.

A value is taken apart as `pickle` takes it apart, but without its order of sets and dictionaries, and without regard to
which of its parts are one object. No level is too deep: nothing here calls itself.
"""

from __future__ import annotations

import sys
from enum import Enum

TYPE_CHECKING = False  # as type checkers know it: processes of a sample import this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MOST_PARTS = 1_000_000
"""Parts of a value, above which it is not taken apart: that would take seconds."""


class _Unknown(Exception):
    """A value cannot be taken apart."""


class _Node:
    """A part that has parts: those that are still to be looked at, and the fingerprints of the others."""

    __slots__ = ("done", "head", "ordered", "value", "waiting")

    def __init__(self, value: object, head: bytes, parts: list[object], *, ordered: bool) -> None:
        self.value, self.head, self.ordered = value, head, ordered
        self.waiting = parts[::-1]
        self.done: list[bytes] = []


def fingerprint(value: object) -> str | None:
    """Return a fingerprint of a value; `None` if it holds what cannot be taken apart, such as a lock or a file."""
    try:
        return _combine(value).hex()[:32]
    except _Unknown:
        return None
    except Exception:  # noqa: BLE001  # the user's `__reduce__` may raise anything
        return None


def _combine(value: object) -> bytes:
    # Depth first, on a stack of our own. A part that is on the path already is a cycle, and stands for the number of
    # levels up. Parts that are through are kept alive, so that no other object comes to their addresses.
    from hashlib import sha256

    def hashed(head: bytes, *parts: bytes) -> bytes:
        return sha256(b"%d %d %s" % (len(head), len(parts), head) + b"".join(parts)).digest()

    known: dict[int, tuple[object, bytes]] = {}
    levels: dict[int, int] = {}
    stack: list[_Node] = []
    count = 0

    def look_at(part: object) -> bytes | None:
        """Return the fingerprint of a part, or put it on the stack."""
        if id(part) in known:
            return known[id(part)][1]
        if id(part) in levels:
            return hashed(b"up %d" % (len(stack) - levels[id(part)]))
        node = _leaf_or_node(part)
        if isinstance(node, bytes):
            return hashed(node)
        levels[id(part)] = len(stack)
        stack.append(node)
        return None

    if (found := look_at(value)) is not None:
        return found
    while True:
        node = stack[-1]
        if node.waiting:
            count += 1
            if count > _MOST_PARTS:
                raise _Unknown
            if (found := look_at(node.waiting.pop())) is not None:
                node.done.append(found)
            continue
        stack.pop()
        del levels[id(node.value)]
        own = hashed(node.head, *(node.done if node.ordered else sorted(node.done)))
        known[id(node.value)] = node.value, own
        if not stack:
            return own
        stack[-1].done.append(own)


def _leaf_or_node(value: Any) -> bytes | _Node:
    kind = type(value)
    name = kind.__name__.encode()
    if (write := _LEAVES.get(kind)) is not None:
        return name + b" " + write(value)
    if kind is dict:
        return _Node(value, name, list(value.items()), ordered=False)
    if kind in (list, tuple, set, frozenset):
        return _Node(value, name, list(value), ordered=kind in (list, tuple))
    found = _found_by_name(value, kind)
    return _taken_apart(value) if found is None else found.encode()


def _found_by_name(value: Any, kind: Any) -> str | None:
    if isinstance(value, type):
        return f"class {value.__module__}.{value.__qualname__}"
    if isinstance(value, Enum):
        return f"member {kind.__module__}.{kind.__qualname__}.{value.name}"
    return f"function {_name_of(value)}" if callable(value) and hasattr(value, "__qualname__") else None


def _taken_apart(value: Any) -> bytes | _Node:
    import copyreg

    reduce = copyreg.dispatch_table.get(type(value))
    reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
    if isinstance(reduced, str):
        return b"global " + f"{type(value).__module__}.{reduced}".encode()
    make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    # State comes as a dictionary that is made for this call, so the node holds it, and with it all its parts.
    parts = [make, arguments, state, None if items is None else list(items), None if pairs is None else dict(pairs)]
    return _Node(value, b"object", parts, ordered=True)


def _name_of(function: Any) -> str:
    """Return the full name of a function by which it can be found; another one says nothing of what it does."""
    module, name = function.__module__, function.__qualname__
    found: Any = sys.modules.get(module or "builtins")
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function:
        raise _Unknown
    return f"{module}.{name}"


_LEAVES: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"",
    type(...): lambda _: b"",
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: hex(value).encode(),
    float: lambda value: value.hex().encode(),
    complex: lambda value: repr(value).encode(),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
    bytearray: bytes,
}
