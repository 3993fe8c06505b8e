"""From the evidence of one sample to its outcome: a pure function."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.outcomes import Outcome, with_others
from bench.process.ended import signal_name
from bench.process.stacks import Stack, stack_record, waits_at
from bench.values import Json

Event = Mapping[str, Any]

_HELPERS = ("resource tracker", "forkserver")


@dataclass(frozen=True)
class Evidence:
    """All that was recorded of a sample.

    `exit_status` is the main process's, negative for a signal; `None` if its deadline passed. `stacks` are those of
    the processes alive then. `left_processes`, `left_segments` and `left_semaphores` were there after the main process
    had ended.
    """

    exit_status: int | None
    events: Sequence[Event]
    main_pid: int
    stacks: Sequence[Stack] = ()
    left_processes: Sequence[str] = ()
    left_segments: Sequence[str] = ()
    left_semaphores: Sequence[str] = ()
    stderr: str = ""
    deadline_s: float = 0.0


@dataclass(frozen=True)
class _Failure:
    """What went wrong in one process; of several, the lowest `rank` is the outcome, and of those the first `order`.

    Ranks: 0 a signal that ended the main process, 1 a signal that ended a child, 2 an exception, 3 an exit status.
    """

    outcome: Outcome
    rank: int
    order: int = 0


def decide(evidence: Evidence) -> Outcome:
    """Return the outcome of a sample.

    A hang comes before all else. Then the process that a signal ended, since others fail in consequence; then what
    was raised first; then exit statuses; then what was left behind. A value counts only if there is none of these.
    All that failed besides is held in the outcome too, and graded.
    """
    # Invariant: `value` is returned only if the main process journalled it and exited with 0, every process that was
    # started is known to have ended with 0 or by a signal that the program sent, and nothing is left. All else that is
    # not known counts as failed, so that no defect of a program passes for want of evidence.
    returned = next((e for e in evidence.events if e["event"] == "returned"), None)
    failures = sorted(_failures(evidence, returned), key=lambda one: (one.rank, one.order))
    if evidence.exit_status is None:
        return _late(evidence, returned, [one.outcome for one in failures])
    if failures:
        return with_others(failures[0].outcome, [one.outcome for one in failures[1:]])
    if returned is None:
        return Outcome("crash", detail={**_main(), "exit": evidence.exit_status, "why": "ended without returning"})
    left = _leftovers(evidence, returned)
    return Outcome("leak", detail=left) if left else Outcome("value", returned["value"])


def failures(evidence: Evidence) -> list[Outcome]:
    """Return what went wrong in processes of a sample so far, the cause of the rest first as far as that is known."""
    found = sorted(_failures(evidence, None), key=lambda one: (one.rank, one.order))
    return [one.outcome for one in found]


def _main() -> dict[str, Json]:
    return {"process": "MainProcess", "role": "main"}


def _failures(evidence: Evidence, returned: Event | None) -> Iterator[_Failure]:
    raised = {event["pid"] for event in evidence.events if event["event"] == "raised" and not event.get("thread")}
    for order, event in enumerate(evidence.events):
        if event["event"] == "raised":
            yield _Failure(_raised(event, evidence.main_pid), 2, order)
    yield from _bad_ends(evidence, raised)
    status = evidence.exit_status
    if status is not None and status < 0:
        yield _Failure(Outcome("crash", detail={**_main(), "signal": signal_name(-status)}), 0)
    elif status and evidence.main_pid not in raised:
        why = "ended without returning" if returned is None else "after the program returned"
        yield _Failure(Outcome("crash", detail={**_main(), "exit": status, "why": why}), 3)


def _raised(event: Event, main_pid: int) -> Outcome:
    role = "main" if event["pid"] == main_pid else "child"
    name = event.get("name") or ("MainProcess" if role == "main" else "a child before its run")
    thread = {"thread": event["thread"]} if event.get("thread") else {}
    process = f"{name}, thread {event['thread']}" if thread else name
    fields = {key: event.get(key) for key in ("type", "bases", "message", "where", "traceback")}
    return Outcome("raised", detail={**fields, **thread, "process": process, "role": role})


def _bad_ends(evidence: Evidence, raised: set[int]) -> Iterator[_Failure]:
    by_program = {event["child"] for event in evidence.events if event["event"] == "signalled"}
    codes = {event["child"]: event["code"] for event in evidence.events if event["event"] == "reaped"}
    own_codes = {event["pid"]: event["code"] for event in evidence.events if event["event"] == "ended"}
    # A parent's `reaped` has the status that the kernel gave, so it counts before the `ended` that the process wrote
    # itself. Where neither is there, nobody waited for the process, and it ended before it could write.
    for order, event in enumerate(evidence.events):
        if event["event"] != "started" or (pid := event["child"]) in by_program or pid in raised:
            continue
        code = codes.get(pid, own_codes.get(pid))
        if code is None and evidence.exit_status is None:
            continue  # alive at the deadline, like the rest
        if code != 0:
            yield _bad_end(event["name"], code, order)


def _bad_end(name: str, code: int | None, order: int) -> _Failure:
    child: dict[str, Json] = {"process": name, "role": "child"}
    if code is None:
        unseen: dict[str, Json] = {**child, "exit": "unseen", "why": "nobody saw how it ended"}
        return _Failure(Outcome("crash", detail=unseen), 3, order)
    if code < 0:
        return _Failure(
            Outcome("crash", detail={**child, "signal": signal_name(-code), **_likely_cause(-code)}), 1, order
        )
    return _Failure(Outcome("crash", detail={**child, "exit": code}), 3, order)


def _likely_cause(number: int) -> dict[str, Json]:
    why = _LIKELY.get(signal_name(number))
    return {"likely": why} if why else {}


_LIKELY = {
    "SIGKILL": "killed from outside, perhaps for its memory",
    "SIGBUS": "perhaps /dev/shm is full",
    "SIGSEGV": "perhaps a lock made for another start method, on Python 3.10",
}


def _late(evidence: Evidence, returned: Event | None, others: Sequence[Outcome]) -> Outcome:
    names = _names(evidence)
    stacks: list[Json] = [stack_record(stack, names.get(stack.pid)) for stack in evidence.stacks]
    alive = [stack for stack in evidence.stacks if stack.role not in _HELPERS and stack.pid != evidence.main_pid]
    if returned is not None and returned.get("threads") and not alive:
        threads: list[Json] = list(returned["threads"])
        text = f"threads that keep it alive: {', '.join(map(str, threads))}"
        return Outcome("leak", detail={"threads": threads, "summary": text, "processes_then": stacks})
    phase = "program" if returned is None else "exit"
    detail: dict[str, Json] = {
        "phase": phase,
        "deadline_s": evidence.deadline_s,
        "summary": _waits(evidence, phase),
        "processes": stacks,
    }
    return with_others(Outcome("hang", detail=detail), others)


def _names(evidence: Evidence) -> dict[int, str]:
    names = {event["child"]: event["name"] for event in evidence.events if event["event"] == "started"}
    return {**names, evidence.main_pid: "MainProcess"}


def _waits(evidence: Evidence, phase: str) -> str:
    names = _names(evidence)
    parts = [
        f"{names.get(stack.pid, 'a process')} {waits_at(stack.stack)}"
        for stack in evidence.stacks
        if stack.role not in _HELPERS
    ]
    after = "after the program returned, " if phase == "exit" else ""
    return f"{after}after {evidence.deadline_s:g} s {'; '.join(parts) or 'nothing was alive'}"


def _leftovers(evidence: Evidence, returned: Event) -> dict[str, Json]:
    tracked = re.findall(r"leaked (\w+) objects? to clean up at shutdown(?:: (\{[^}]*\}))?", evidence.stderr)
    cleaned = [(kind, f"cleaned up by the resource tracker {names}".strip()) for kind, names in tracked]
    segments = [*evidence.left_segments, *(text for kind, text in cleaned if kind == "shared_memory")]
    semaphores = [*evidence.left_semaphores, *(text for kind, text in cleaned if kind == "semaphore")]
    descriptors = [f"{number} -> {what}" for number, what in returned.get("descriptors", ())]
    found: dict[str, Json] = {
        "processes": list(evidence.left_processes),
        "segments": list[Json](segments),
        "semaphores": list[Json](semaphores),
        "descriptors": list[Json](descriptors),
        "locks": list(returned.get("locks", ())),
        "items": list(returned.get("items", ())),
    }
    left: dict[str, Json] = {kind: names for kind, names in found.items() if names}
    if left:
        left["summary"] = "; ".join(_count(kind, names) for kind, names in left.items() if isinstance(names, list))
    return left


def _count(kind: str, names: Sequence[Json]) -> str:
    more = ", …" if len(names) > 1 else ""
    return f"{len(names)} {kind if more else _SINGULAR[kind]} ({names[0]}{more})"


_SINGULAR = {
    "processes": "process",
    "segments": "segment",
    "semaphores": "semaphore",
    "descriptors": "descriptor",
    "locks": "lock still held",
    "items": "queue or pipe with items",
}


def warnings_of(evidence: Evidence, method: str) -> list[str]:
    """Return what Python warned of in a sample, and start methods that the program chose against the one asked for."""
    warned = [f"{e['type']}: {e['message']}" for e in evidence.events if e["event"] == "warned"]
    tracker = re.findall(r"UserWarning: (resource_tracker: [^\n]+)", evidence.stderr)
    other = {e["method"] for e in evidence.events if e["event"] == "started"} - {method, None}
    chosen = [f"the program starts processes under {name} by itself, whatever is asked for" for name in sorted(other)]
    return list(dict.fromkeys(map(_without_pids, [*warned, *tracker, *chosen])))


def _without_pids(text: str) -> str:
    return re.sub(r"\(pid=\d+\)", "(pid=…)", re.sub(r"/(mp|psm|sem)[-_.][\w.-]+", r"/\1-…", text))
