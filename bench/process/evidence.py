"""From the evidence of one sample to its outcome: a pure function."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.outcomes import Matcher, Outcome, note_of_items, with_others
from bench.process import hangs
from bench.process.ended import signal_name
from bench.process.stacks import Stack, stack_record
from bench.values import Json

Event = Mapping[str, Any]

_HELPERS = ("resource tracker", "forkserver")


@dataclass(frozen=True)
class Evidence:
    """All that was recorded of a sample.

    `exit_status` is the main process's, negative for a signal; `None` if its deadline passed. `stacks` are those of
    the processes alive then. `left_processes`, `left_segments` and `left_semaphores` were there after the main process
    had ended; `left_pids` are those of the processes.
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
    left_pids: Sequence[int] = ()
    items: bool = False
    """Whether what is left in queues and pipes of a scenario's state is a leak."""


@dataclass(frozen=True)
class _Failure:
    """What went wrong in one process; of several, the lowest `rank` is the outcome, and of those the first `order`.

    Ranks: 0 a signal that ended the main process, 1 a signal that ended a child, 2 an exception, 3 an exit status.
    """

    outcome: Outcome
    rank: int
    order: int = 0


def decide(evidence: Evidence, tolerates: Sequence[Matcher] = ()) -> Outcome:
    """Return the outcome of a sample.

    Args:
        evidence: of the sample.
        tolerates: what may become of processes other than the main one, as far as the main process returned a value.

    A hang comes before all else. Then the process that a signal ended, since others fail in consequence; then what
    was raised first; then exit statuses; then what was left behind. A value counts only if there is none of these.
    All that failed besides is held in the outcome too, and graded.
    """
    # Invariant: `value` is returned only if the main process journalled it and exited with 0, every process that was
    # started is known to have ended with 0 or by a signal that the program sent, and nothing is left. All else that is
    # not known counts as failed, so that no defect of a program passes for want of evidence.
    returned = next((e for e in evidence.events if e["event"] == "returned" and e["pid"] == evidence.main_pid), None)
    failures = sorted(_failures(evidence, returned), key=lambda one: (one.rank, one.order))
    if returned is not None and tolerates:
        failures = [one for one in failures if not _is_tolerated(one.outcome, tolerates)]
    if evidence.exit_status is None:
        return _late(evidence, returned, [one.outcome for one in failures])
    if failures:
        return with_others(failures[0].outcome, [one.outcome for one in failures[1:]])
    if returned is None:
        return Outcome("crash", detail={**_main(), "exit": evidence.exit_status, "why": "ended without returning"})
    left = _leftovers(evidence, returned)
    return Outcome("leak", detail=left) if left else Outcome("value", returned["value"])


def _is_tolerated(outcome: Outcome, tolerates: Sequence[Matcher]) -> bool:
    return outcome.detail.get("role") != "main" and any(one.matches(outcome) for one in tolerates)


def failures(evidence: Evidence) -> list[Outcome]:
    """Return what went wrong in processes of a sample so far, the cause of the rest first as far as that is known."""
    found = sorted(_failures(evidence, None), key=lambda one: (one.rank, one.order))
    return [one.outcome for one in found]


def _main() -> dict[str, Json]:
    return {"process": "MainProcess", "role": "main"}


def _failures(evidence: Evidence, returned: Event | None) -> Iterator[_Failure]:
    ends = _Ends(evidence)
    for order, event in enumerate(evidence.events):
        if event["event"] == "raised":
            yield _Failure(_raised(event, evidence.main_pid, ends.names), 2, order)
        elif event["event"] == "started":
            yield from _of_started(event, ends, order)
        elif event["event"] in ("forked", "spawned"):
            yield from _of_other(event, ends, order)
        elif event["event"] == "ran" and event["code"] < 0:
            yield _bad_end(_command(event), event["code"], order)
        elif event["event"] == "adopted" and event["child"] not in ends.names and ends.is_killed(event["code"]):
            yield _bad_end("a process that nobody waited for", event["code"], order)
    status = evidence.exit_status
    if status is not None and status < 0:
        yield _Failure(Outcome("crash", detail={**_main(), "signal": signal_name(-status)}), 0)
    elif status and evidence.main_pid not in ends.raised:
        why = "ended without returning" if returned is None else "after the program returned"
        yield _Failure(Outcome("crash", detail={**_main(), "exit": status, "why": why}), 3)


def _raised(event: Event, main_pid: int, names: Mapping[int, str]) -> Outcome:
    role = "main" if event["pid"] == main_pid else "child"
    name = event.get("name") or ("MainProcess" if role == "main" else "a child before its run")
    if role == "child" and name == "MainProcess":  # a fork of it by hand
        name = names.get(event["pid"], "a process that it forked")
    thread = {"thread": event["thread"]} if event.get("thread") else {}
    process = f"{name}, thread {event['thread']}" if thread else name
    if event.get("ignored"):
        process = f"{process}, ignored by Python"
    fields = {key: event.get(key) for key in ("type", "bases", "message", "where", "traceback")}
    return Outcome("raised", detail={**fields, **thread, "process": process, "role": role})


class _Ends:
    """How the processes of a sample ended, by pid, as far as anybody knows.

    A status that a process collected is what the kernel gave, so it counts before the `ended` that the process wrote
    itself. Of what nobody collected, and was adopted when its parent ended, the supervisor of the sample has it.
    """

    def __init__(self, evidence: Evidence) -> None:
        events = evidence.events
        own = {event["pid"]: event["code"] for event in events if event["event"] == "ended"}
        adopted = {event["child"]: event["code"] for event in events if event["event"] == "adopted"}
        self.collected = {event["child"]: event["code"] for event in events if event["event"] == "reaped"}
        self.codes = {**adopted, **own, **self.collected}
        self.raised = {
            event["pid"]
            for event in events
            if event["event"] == "raised" and not event.get("thread") and not event.get("ignored")
        }
        self.executed = {event["pid"]: event["done"] for event in events if event["event"] == "executed"}
        self.alive_at_deadline = evidence.exit_status is None
        self.left = set(evidence.left_pids)
        self.started = {event["child"] for event in events if event["event"] == "started"} | {evidence.main_pid}
        self.names = _names(evidence)
        programs = {event["child"] for event in events if event["event"] == "spawned"}
        self._signals: dict[int, set[int]] = {}
        self._of_groups: set[int] = set()
        for event in events:
            if event["event"] == "signalled" and (event["child"] in programs or not event.get("group")):
                self._signals.setdefault(event["child"], set()).add(event["signal"])
                self._of_groups |= {event["signal"]} if event.get("group") else set()

    def is_unseen(self, pid: int) -> bool:
        """Return whether a process has ended, and nobody knows how."""
        return pid not in self.codes and pid not in self.left and not self.alive_at_deadline

    def is_killed(self, code: int) -> bool:
        """Return whether a process of some program was ended by a signal that nobody sent to that program's group."""
        return code < 0 and -code not in self._of_groups

    def is_by_program(self, pid: int, code: int | None) -> bool:
        """Return whether the program ended a process itself, by a method of the object that stands for it.

        One that had ended by itself before, or otherwise after all, it did not.
        """
        sent = self._signals.get(pid, ())
        return bool(sent) and (code is None or any(code in (-number, 128 + number) for number in sent))


def _of_started(event: Event, ends: _Ends, order: int) -> Iterator[_Failure]:
    pid, code = event["child"], ends.codes.get(event["child"])
    if pid in ends.raised or ends.is_by_program(pid, code):
        return
    if code is None and ends.alive_at_deadline:
        return  # like the rest
    # Where nobody knows, nobody waited for the process, and it ended before it could write.
    if code != 0:
        yield _bad_end(event["name"], code, order)


def _of_other(event: Event, ends: _Ends, order: int) -> Iterator[_Failure]:
    """Yield what went wrong with a process that was started past `multiprocessing`."""
    pid, code = event["child"], ends.codes.get(event["child"])
    if pid in ends.started or pid in ends.raised or ends.is_by_program(pid, code):
        return
    if code is None and (ends.alive_at_deadline or pid in ends.left):
        return
    # Another program may end with any status, as long as somebody collects it; a fork of this one may not.
    is_program = event["event"] == "spawned" or ends.executed.get(pid, False)
    if code == 0 or (is_program and pid in ends.collected and code is not None and code > 0):
        return
    if code is None and event["event"] == "spawned":
        return  # nobody adopted it: an object collected it as the interpreter went down, and no journal was open
    yield _bad_end(ends.names[pid], code, order)


def _command(event: Event) -> str:
    return f"the program {event['name']!r}" + (f", started at {event['where']}" if event.get("where") else "")


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
    targets = {event["child"]: event["target"] for event in evidence.events if event.get("target")}
    told = hangs.members(evidence.stacks, names, targets)
    detail: dict[str, Json] = {
        "phase": phase,
        "deadline_s": evidence.deadline_s,
        "slow": hangs.is_slow(told),
        "summary": hangs.summary(told, evidence.deadline_s, phase=phase),
        "processes": stacks,
    }
    return with_others(Outcome("hang", detail=detail), others)


def _names(evidence: Evidence) -> dict[int, str]:
    names = {evidence.main_pid: "MainProcess"}
    for event in evidence.events:
        if event["event"] == "started":
            names[event["child"]] = event["name"]
        elif event["event"] == "forked":
            names.setdefault(event["child"], f"the process forked at {event['where'] or 'a line of a library'}")
        elif event["event"] == "spawned":
            names.setdefault(event["child"], _command(event))
    return names


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
        "items": list(returned.get("items", ())) if evidence.items else [],
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
    """Return what Python warned of in a sample, start methods that the program chose, and queues that are not empty."""
    warned = [f"{e['type']}: {e['message']}" for e in evidence.events if e["event"] == "warned"]
    tracker = re.findall(r"UserWarning: (resource_tracker: [^\n]+)", evidence.stderr)
    other = {e["method"] for e in evidence.events if e["event"] == "started"} - {method, None}
    ends = _Ends(evidence)
    forgotten = [
        f"nobody collected the status of {ends.names[e['child']]}; it ended well"
        for e in evidence.events
        if e["event"] in ("forked", "spawned") and e["child"] not in ends.collected and ends.codes.get(e["child"]) == 0
    ]
    unseen = [
        f"nobody saw how {ends.names[e['child']]} ended"
        for e in evidence.events
        if e["event"] == "spawned" and ends.is_unseen(e["child"])
    ]
    chosen = [f"the program starts processes under {name} by itself, whatever is asked for" for name in sorted(other)]
    left = note_of_items(name for e in evidence.events for name in e.get("items", ()))
    return list(dict.fromkeys(map(_without_pids, [*warned, *tracker, *forgotten, *unseen, *chosen, *left])))


def _without_pids(text: str) -> str:
    return re.sub(r"\(pid=\d+\)", "(pid=…)", re.sub(r"/(mp|psm|sem)[-_.][\w.-]+", r"/\1-…", text))
