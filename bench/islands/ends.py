"""The lines of tests that did not end: what is recorded where an interpreter died or a deadline passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.islands.crashes import cause_of_crash, place_of_crash, users_place, waits_in
from bench.islands.session import Phase, Running
from bench.process.ended import signal_name
from bench.process.stacks import Stack, stack_record
from bench.record import Test, TestStatus
from bench.values import Json

AT_EXIT = "(the end of pytest)"
"""The id where the interpreter does not end after the last test, and no test is known to have caused it."""

_DETAIL = 16_000
"""Characters of stacks that are recorded as the text of a failure, from their beginning."""

_MOST_STACKS = 32

_PHASES: Mapping[Phase, str] = {
    "collect": "while it was collected",
    "setup": "in its setup",
    "call": "in its call",
    "teardown": "in its teardown",
    "exit": "after the last test",
}


def crashed(
    cell: str, running: Running, *, code: int | None, for_memory: bool, dump: str, stacks: Sequence[Stack], now: float
) -> Test:
    """Return the line of a test in which its interpreter died.

    Args:
        cell: the cell's name.
        running: the test, as it was last known.
        code: the interpreter's exit code, negative for a signal; `None` if its parent kept that to itself.
        for_memory: whether the kernel has killed a process of this cell for memory meanwhile.
        dump: what faulthandler wrote.
        stacks: of the processes that the interpreter left behind.
        now: on the monotonic clock.
    """
    if for_memory and code in (-9, None):
        cause = "killed for memory: over the limit of the cell"
    else:
        cause = _cause(code, dump)
        if place := place_of_crash(dump):
            cause = f"{cause} at {place}"
    detail = f"The interpreter died {_PHASES[running.phase]}: {cause}.\n\n{dump}\n\n{_text(stacks)}".strip()
    status: TestStatus = "oom" if for_memory and code in (-9, None) else "crashed"
    return Test(
        cell,
        running.nodeid,
        status,
        round(max(now - running.since, 0.0), 6),
        cause,
        detail[:_DETAIL],
        _more(running, stacks),
    )


def _cause(code: int | None, dump: str) -> str:
    if (named := cause_of_crash(dump)) is not None:
        return named
    if code is None:
        return "the interpreter ended without a word"
    return f"killed by {signal_name(-code)}" if code < 0 else f"the interpreter ended with exit status {code}"


def hung(cell: str, running: Running, *, stacks: Sequence[Stack], now: float) -> Test:
    """Return the line of a test that passed its deadline, with the stacks of every process of its tree."""
    own = next((_main_thread(one.stack) for one in stacks if one.pid == running.pid), "")
    place, innermost = users_place(own), waits_in(own)
    what = "no end" if running.phase != "collect" else "no end of its collection"
    cause = f"hung at {place}" if place else f"hung {_PHASES[running.phase]}"
    waits = f"; it is in {innermost}" if innermost else ""
    head = f"{what} within {running.deadline_s:g} s, {_PHASES[running.phase]}{waits}."
    detail = f"{head}\n\n{_text(stacks)}"[:_DETAIL]
    return Test(
        cell,
        running.nodeid,
        "hung",
        round(max(now - running.since, 0.0), 6),
        cause,
        detail,
        _more(running, stacks),
    )


def hung_at_exit(
    cell: str, running: Running, *, stacks: Sequence[Stack], starters: Mapping[int, str], now: float
) -> Test:
    """Return the line for a suite that was through and did not end, under the test that started what it waits for.

    Args:
        cell: the cell's name.
        running: the end of the session.
        stacks: of every process.
        starters: the tests that left processes, by the pid of these.
        now: on the monotonic clock.
    """
    children = [one for one in stacks if one.pid in starters]
    test = starters[children[0].pid] if children else AT_EXIT
    waited = f" for {_named(children[0])}" if children else ""
    cause = f"hung at exit: the interpreter waits{waited}"
    head = f"Every test was judged, and pytest did not end within {running.deadline_s:g} s"
    detail = f"{head}.\n\n{_text(stacks)}"[:_DETAIL]
    return Test(cell, test, "hung", round(max(now - running.since, 0.0), 6), cause, detail, _more(running, stacks))


def _named(one: Stack) -> str:
    if (place := users_place(_main_thread(one.stack))) is not None:
        return f"a child that is at {place}"
    return "a child"


def _main_thread(stack: str) -> str:
    return stack.rpartition("hread 0x")[2]  # the main thread comes last


def _more(running: Running, stacks: Sequence[Stack]) -> dict[str, Json]:
    kept: list[Json] = [stack_record(one, None) for one in stacks[:_MOST_STACKS]]
    return {"phase": running.phase, "stacks": kept}


def _text(stacks: Sequence[Stack]) -> str:
    return "\n\n".join(one.text() for one in stacks)
