"""From a scenario to an observation in mode stress: many short groups, one after the other, and their figures."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.declared import Scenario, actors_of
from bench.errors import UsageError
from bench.figures import StressFigures
from bench.observation import Observation, SampleOutcome, Tally, tally_counts
from bench.outcomes import Conditions, Expectation, Outcome, grades_items, note_of_items
from bench.process.cpus import cpu_count
from bench.stress import keeping
from bench.stress.launch import GroupResult, run_group
from bench.stress.messages import Orders
from bench.targets import Found
from bench.values import Json
from bench.verdict import grade

DEFAULT_SECONDS = 5.0
DEFAULT_DEADLINE_S = 1.0
"""How long the actors may take without any of them getting through a stride."""

_GROUP_S = 1.0
_LEAST_GROUP_S = 0.1
_GROUPS = 5
"""A group's time: a second, or a fifth of all the time if that is shorter."""

_RARELY = 0.001
"""Share of samples that overlap, below which a warning says how few they are."""

_GROUP_SEED = 1_000_003

_TRIAL_S = 5.0
"""How long a life may take, which has few samples."""

_IN_NEW_PROCESSES = 0.1
"""The share of the time in which each sample has processes of its own, where nothing was found until then: a race that
only the first sample of a process can have may be hidden by what processes keep."""

_MOST_NEW = 64
_WHY_NEW = "whether the first sample of a process gives something else"


@dataclass(frozen=True)
class Progress:
    """How far an observation has come: `outcomes` as they would be recorded now."""

    seconds: float
    samples: int
    outcomes: tuple[Tally, ...]


def observe(
    found: Found,
    *,
    method: str,
    cell: str = "local",
    seconds: float | None = None,
    samples: int | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
    cpus: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Observation:
    """Run a scenario's actors at once, again and again over fresh state, and count the outcomes.

    Args:
        found: the scenario.
        method: the start method.
        cell: the cell's name, for the record.
        seconds: how long; `None` means 5, or no bound if `samples` is given.
        samples: how many; `None` sets no bound.
        deadline_s: after how long without any actor getting through a stride a group counts as a hang, also where a
            single call of an actor or of `result` takes that long; `None` takes the scenario's own, or 1 s.
        seed: of the plan of strides.
        cpus: how many CPUs the actors have; `None` asks the system.
        on_progress: called with the histogram so far, a few times a second.

    Raises:
        UsageError: if it is no scenario, or one that cannot be run as it is.
    """
    scenario = found.program
    if not isinstance(scenario, Scenario):
        raise UsageError(f"{scenario.target} is a program, which has no actors; stress runs scenarios")
    run = _Run(found, method, deadline_s or scenario.deadline_s or DEFAULT_DEADLINE_S, seed, cpus or cpu_count())
    run.take_samples(seconds or (DEFAULT_SECONDS if samples is None else None), samples, on_progress)
    return run.observation(cell, scenario)


class _Run:
    def __init__(self, found: Found, method: str, deadline_s: float, seed: int, cpus: int) -> None:
        self.found, self.method, self.deadline_s, self.seed, self.cpus = found, method, deadline_s, seed, cpus
        self.groups: list[GroupResult] = []
        self.first: dict[str, SampleOutcome] = {}
        self.begun = self.since = time.monotonic()
        self.afresh = ""
        """Why each sample has processes of its own; empty if none does."""
        self.tried = False
        self.trial_s = 0.0
        self.in_new = 0
        """How many samples with processes of their own were taken beside, which gave no finding."""
        self.doubt = ""
        """What keeps the observation from a verdict; empty if nothing does."""

    def take_samples(
        self, seconds: float | None, samples: int | None, on_progress: Callable[[Progress], None] | None
    ) -> None:
        def report(running: GroupResult) -> None:
            if on_progress is not None:
                on_progress(self._progress(running))

        group_s = _GROUP_S if seconds is None else max(_LEAST_GROUP_S, min(_GROUP_S, seconds / _GROUPS))
        while not self.groups or not self._is_enough(seconds, samples):
            if self.afresh and seconds is not None:
                group_s = max(_LEAST_GROUP_S, seconds - (time.monotonic() - self.since))
            left = None if samples is None else samples - self._samples()
            self._record(run_group(self.found, self._orders(group_s, left), report))
            if not self.tried and any(self._is_triable(one.outcome) for one in self.first.values()):
                begun = time.monotonic()
                self._try()
                took_s = time.monotonic() - begun
                self.trial_s, self.since = self.trial_s + took_s, self.since + took_s
        if not self._has_found() and not self.afresh and not self.groups[-1].tolerated:
            self._look_in_new_processes(_IN_NEW_PROCESSES * (seconds or time.monotonic() - self.begun))

    def _has_found(self) -> bool:
        return any(self._is_finding(one.outcome) for one in self.first.values())

    def _look_in_new_processes(self, seconds: float) -> None:
        """Take samples with processes of their own, at least one; if there is a finding among them, they count."""
        begun = time.monotonic()
        group = run_group(self.found, self._orders(seconds, _MOST_NEW)._replace(afresh=_WHY_NEW), lambda _: None)
        if any(self._is_finding(one.outcome) for one in group.first.values()):
            self._record(group)
        else:
            self.in_new = group.samples
        self.trial_s += time.monotonic() - begun

    def _is_triable(self, outcome: Outcome) -> bool:
        """Return whether an outcome is a finding after which a group goes on; a crash or a hang ends it."""
        return outcome.kind in ("value", "raised", "leak") and self._is_finding(outcome)

    def _is_finding(self, outcome: Outcome) -> bool:
        """Return whether an outcome is interesting or forbidden, or an expectation cannot say."""
        conditions = Conditions(self.method, platform.python_version(), self.cpus)
        return _has_finding(self.found.program.expectations, (outcome,), conditions)

    def _try(self) -> None:
        """Decide whether what was found rests on samples before, by lives; have no more of that if it does."""
        self.tried = True
        lives: list[list[keeping.Sample]] = []
        judgement = keeping.Judgement("open")
        while judgement.what == "open":
            orders = self._orders(_TRIAL_S, keeping.SAMPLES)._replace(
                seed=self.seed - _GROUP_SEED * (len(lives) + 1), size=keeping.STATES, trial=True
            )
            order = run_group(self.found, orders, lambda _: None).order
            if not order or order[-1].kind in ("crash", "hang"):
                return
            lives.append([keeping.Sample(one.key, self._is_finding(one)) for one in order])
            judgement = keeping.judge(lives)
        if judgement.what == "kept":
            self._begin_afresh(lives, sure=judgement.sure)

    def _begin_afresh(self, lives: list[list[keeping.Sample]], *, sure: bool) -> None:
        """Forget all samples so far, which rest on those before them, and have processes made anew for each."""
        came = ", ".join(dict.fromkeys(one.key for one in lives[0] if one.finding))
        self.afresh = f"something stays from sample to sample: {came:.100} never came in processes made anew"
        self.doubt = "" if sure else f"{self.afresh}, and may be a race that their start keeps apart"
        self.groups.clear()
        self.first.clear()
        self.since = time.monotonic()

    def _record(self, group: GroupResult) -> None:
        """Record a group's counts and figures; the first of each outcome is recorded once for all groups."""
        for key, seen in group.first.items():
            self.first.setdefault(key, seen)
        own = {key: key for key in self.first}  # those of the first group that gave it, and not each its own
        group.counts = {own[key]: count for key, count in group.counts.items()}
        group.first = {}
        self.groups.append(group)

    def _is_enough(self, seconds: float | None, samples: int | None) -> bool:
        if self.groups[-1].tolerated or (samples is not None and self._samples() >= samples):
            return True  # after an end that is tolerated others would end so too, and none has a value
        if seconds is not None and not self.afresh and not self._has_found():
            seconds *= 1 - _IN_NEW_PROCESSES  # the rest is for `_look_in_new_processes`
        return seconds is not None and time.monotonic() - self.since >= seconds

    def _orders(self, seconds: float, samples: int | None) -> Orders:
        place, scenario = self.found.place, self.found.program
        return Orders(
            root=place.root or "",
            module=place.module,
            name=scenario.name,
            method=self.method,
            seed=self.seed + _GROUP_SEED * len(self.groups),
            actors=actors_of(scenario),
            cpus=self.cpus,
            seconds=seconds,
            samples=samples,
            deadline_s=self.deadline_s,
            size=max(1, self.groups[-1].size // 4) if self.groups else 1,
            afresh=self.afresh,
            items=grades_items(scenario.expectations),
        )

    def _samples(self) -> int:
        return sum(group.samples for group in self.groups)

    def _progress(self, running: GroupResult) -> Progress:
        groups = [*self.groups, running]
        samples = sum(group.samples for group in groups)
        outcomes = tally_counts([group.counts for group in groups], {**running.first, **self.first})
        return Progress(time.monotonic() - self.begun, samples, outcomes)

    def observation(self, cell: str, scenario: Scenario) -> Observation:
        seconds, samples = time.monotonic() - self.begun, self._samples()
        outcomes = tally_counts([group.counts for group in self.groups], self.first)
        figures = {name: sum(group.figures[name] for group in self.groups) for name in self.groups[0].figures}
        stress: dict[str, Json] = {
            "seed": self.seed,
            "groups": len(self.groups),
            "cpus": self.cpus,
            "actors": list(scenario.actors),
            "waiting": "spin" if len(scenario.actors) <= self.cpus else "yield",
            "samples_per_second": round(samples / max(seconds - self.trial_s, 1e-6), 1),
            "samples_per_second_running": round(samples / (figures["running_ns"] / 1e9 or seconds), 1),
            "stamped": figures["stamped"],
            "overlapped": figures["overlapped"],
            "collision_rate": round(figures["overlapped"] / figures["stamped"], 6) if figures["stamped"] else None,
            "rebuilt": round(figures["rebuilt"] / samples, 6) if samples else None,
            "why_rebuilt": next((group.why_rebuilt for group in self.groups if group.why_rebuilt), None),
            "in_new_processes": self.in_new,
            "never_seen": list(_never_seen(scenario.expectations, outcomes, samples)),
            **_cut_short_figures(self.groups),
        }
        conditions = Conditions(self.method, platform.python_version(), self.cpus)
        found = _has_finding(scenario.expectations, [one.outcome for one in outcomes], conditions)
        limits = () if found else (*filter(None, [self.doubt]), *_limits(figures))
        return Observation(
            scenario.target,
            "stress",
            cell,
            samples,
            round(seconds, 6),
            outcomes,
            (
                *_cpu_warnings(scenario, self.cpus),
                *_overlap_warnings(figures),
                *_early_end_warnings(self.groups),
                *note_of_items(name for group in self.groups for name in group.left),
            ),
            (*limits, *_tolerated_limits(self.groups)),
            StressFigures(stress),
        )


def _never_seen(
    expectations: tuple[Expectation, ...], outcomes: tuple[Tally, ...], samples: int
) -> Iterator[dict[str, Json]]:
    """Return bounds for the rates of outcomes that were listed and not seen.

    By the rule of three, none in n independent samples means a rate below 3/n at 95 % confidence: Hanley and
    Lippman-Hand, "If nothing goes wrong, is everything all right?" (1983). Samples of a group are not independent, so
    the bound is optimistic, and the record says so.
    """
    for one in expectations:
        if one.after_kill:  # explore alone kills
            continue
        try:
            came = any(one.matcher.matches(seen.outcome) for seen in outcomes)
            elsewhere = one.matcher.matches(Outcome("deadlock"))  # explore alone sees those; here they are hangs
        except Exception:  # noqa: BLE001  # the user's predicate; the verdict says what it raised
            continue
        if samples and not came and not elsewhere:
            bound = min(1.0, 3 / samples)
            yield {"outcome": one.matcher.text(), "grade": one.grade, "at_most": bound, "bound": "optimistic"}


def _cpu_warnings(scenario: Scenario, cpus: int) -> tuple[str, ...]:
    actors = len(scenario.actors)
    if cpus == 1:
        made = "where one is preempted, or made to give way at a chance operation"
        return (f"on one CPU the {actors} actors take turns: they interleave only {made}",)
    return (f"{actors} actors on {cpus} CPUs: not all of them run at once",) if actors > cpus else ()


def _overlap_warnings(figures: dict[str, int]) -> tuple[str, ...]:
    stamped, overlapped = figures["stamped"], figures["overlapped"]
    if not 0 < overlapped < _RARELY * stamped:
        return ()
    return (f"the actors overlapped in only {overlapped} of {stamped} samples looked at",)


def _cut_short_figures(groups: list[GroupResult]) -> dict[str, Json]:
    """Return the figures of the groups that a crash or a hang ended.

    Over groups the rate of what ended them is overstated: few samples fit in before the first. Of all samples it is
    `per_sample`, too much by what the group's last strides lost, which is `lost_at_most`.
    """
    ended = sum(group.cut_short for group in groups)
    samples = sum(group.samples for group in groups)
    if not ended:
        return {"cut_short": None}
    lost = sum(group.figures["lost"] for group in groups if group.cut_short)
    return {"cut_short": {"groups": ended, "per_sample": round(ended / samples, 9), "lost_at_most": lost}}


def _early_end_warnings(groups: list[GroupResult]) -> tuple[str, ...]:
    ended, samples = sum(group.cut_short for group in groups), sum(group.samples for group in groups)
    if not ended or ended == samples:
        return ()
    return (
        f"{ended} of {len(groups)} groups ended early by a crash or hang: its rates over groups are too high, "
        f"of all samples it is {ended / samples:.2g}",
    )


def _has_finding(expectations: tuple[Expectation, ...], outcomes: Sequence[Outcome], conditions: Conditions) -> bool:
    """Return whether there is an outcome that is interesting or forbidden.

    It counts, however often the actors overlapped: they may have ended, or be stuck, before that was seen. What is
    acceptable shows nothing: actors that run one after the other give it as well.
    """
    try:
        return any(grade(one, expectations, conditions).grade != "acceptable" for one in outcomes)
    except Exception:  # noqa: BLE001  # the user's predicate; the verdict says what it raised
        return False


def _tolerated_limits(groups: list[GroupResult]) -> tuple[str, ...]:
    """Return what is not known where an actor's process ended in a way that the author tolerates."""
    ends = dict.fromkeys(group.tolerated for group in groups if group.tolerated)
    why = "which is no finding, but ends the group: mode repeat has the value of such samples"
    return tuple(f"{one}, {why}" for one in ends)


def _limits(figures: dict[str, int]) -> tuple[str, ...]:
    if not figures["stamped"]:
        return ("nothing is known of whether the actors ever overlapped",)
    if not figures["overlapped"]:
        return (f"the actors never overlapped in {figures['stamped']} samples looked at: nothing raced",)
    return ()
