"""The notes of tests, as their marks have them, made into lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.islands.ends import AT_EXIT
from bench.record import Left, Notes

_NAMES = re.compile(r"'(/[^']+)'")


def lines_of(
    cell: str, noted: Iterable[tuple[str, Mapping[str, Any]]], *, strict: bool, complaints: Sequence[str] = ()
) -> list[Notes]:
    """Return one line for each test of which something was noted, in the order in which that was.

    Args:
        cell: the cell's name.
        noted: tests and what was noted of them, a test perhaps several times.
        strict: whether what is left behind fails the cell.
        complaints: what resource trackers said at the end; those that name something go to the test that left it.
    """
    left: dict[str, dict[Left, None]] = {}
    warnings: dict[str, dict[str, None]] = {}
    methods: dict[str, dict[tuple[str, str], None]] = {}
    for nodeid, about in noted:
        left.setdefault(nodeid, {}).update({Left(*one): None for one in about.get("left", ())})
        warnings.setdefault(nodeid, {}).update(dict.fromkeys(about.get("warnings", ())))
        methods.setdefault(nodeid, {}).update({(one[0], one[1]): None for one in about.get("methods", ())})
    for text in complaints:
        for nodeid in _blamed(text, left) or (AT_EXIT,):
            left.setdefault(nodeid, {})
            warnings.setdefault(nodeid, {})[_without_names(text)] = None
    return [
        Notes(cell, nodeid, tuple(found), tuple(warnings.get(nodeid, ())), tuple(methods.get(nodeid, ())), strict)
        for nodeid, found in left.items()
        if found or warnings.get(nodeid) or methods.get(nodeid)
    ]


def _blamed(text: str, left: Mapping[str, Mapping[Left, None]]) -> tuple[str, ...]:
    """Return the tests that left what a complaint is about: by name, or, before Python 3.13, by kind."""
    kind = "shared memory" if "shared_memory" in text else "semaphore"
    names = {name.lstrip("/") for name in _NAMES.findall(text)}
    return tuple(
        nodeid
        for nodeid, things in left.items()
        if any(one.kind == kind and (not names or one.name.lstrip("/") in names) for one in things)
    )


def _without_names(text: str) -> str:
    return re.sub(r": \{.*\}$", "", text)
