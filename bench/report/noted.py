"""What was noted of tests beside their status, each thing once: what they left behind, start methods of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.report.findings import Note
from bench.report.lines import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bench.record import Left, Notes
    from bench.report.loaded import RunRecords
    from bench.report.places import Place

_MADE_UP = re.compile(r"\b(psm_|mp-|wnsm_|pym-)\w+|\b\d{3,}\b")
"""Parts of names that are others each time: those that multiprocessing makes up, pids, numbers of a kind."""

_NAMED_ANEW = frozenset({"process", "thread", "shared memory", "semaphore", "descriptor"})


def left_behind(run: RunRecords) -> tuple[Note, ...]:
    """Return each thing that tests left behind, with the tests that did and the places."""
    return _once(run, lambda noted: map(_text_of_left, noted.left), "left")


def _text_of_left(one: Left) -> str:
    name = _MADE_UP.sub(lambda found: f"{found[1] or ''}…", one.name) if one.kind in _NAMED_ANEW else one.name
    by = f", made by fixture {one.fixture}" if one.fixture else ""
    return f"{one.kind}: {name}{by}"


def warnings_of_tests(run: RunRecords) -> tuple[Note, ...]:
    """Return each warning that was noted of tests."""
    return _once(run, lambda noted: (_MADE_UP.sub("…", text) for text in noted.warnings), "warning")


def chosen_methods(run: RunRecords) -> tuple[Note, ...]:
    """Return, for each start method that tests chose themselves, how many did and how."""
    found = _once(run, lambda noted: (f"{method} {by}" for method, by in noted.methods), "method")
    return tuple(
        Note(one.kind, _text_of_method(one.text, len(one.targets)), one.places, one.universe, one.targets)
        for one in found
    )


def _text_of_method(text: str, number: int) -> str:
    method, _, by = text.partition(" ")
    one = number == 1
    tests, choose = counted(number, "test"), "chooses" if one else "choose"
    match by:
        case "set_start_method":
            what = "for the whole process, by set_start_method; from there on the axis reaches no other test either"
            return f"{tests} {choose} {method} {what}"
        case "get_context":
            themselves, them = ("itself", "it") if one else ("themselves", "them")
            return f"{tests} {choose} {method} {themselves}; the axis does not reach {them}"
        case _:
            start = "starts" if one else "start"
            return f"{tests} {start} processes by the package {by} under {method}; the axis does not reach that"


def _once(run: RunRecords, texts: Callable[[Notes], Iterable[str]], kind: str) -> tuple[Note, ...]:
    ran: dict[str, set[Place]] = {}
    places: dict[str, set[Place]] = {}
    tests: dict[str, dict[str, None]] = {}
    for cell in run.cells:
        for test in cell.tests:
            ran.setdefault(test.id, set()).add(cell.place())
        for text, nodeid in _said(cell.notes, texts):
            places.setdefault(text, set()).add(cell.place())
            tests.setdefault(text, {})[nodeid] = None
    return tuple(
        Note(kind, text, frozenset(where), _universe(ran, tests[text], where), tuple(tests[text]))
        for text, where in places.items()
    )


def _said(noted: Iterable[Notes], texts: Callable[[Notes], Iterable[str]]) -> Iterator[tuple[str, str]]:
    for one in noted:
        for text in texts(one):
            yield text, one.id


def _universe(ran: dict[str, set[Place]], tests: Iterable[str], where: set[Place]) -> frozenset[Place]:
    """Return the places in which some of the tests ran."""
    return frozenset(where.union(*(ran.get(test, set()) for test in tests)))
