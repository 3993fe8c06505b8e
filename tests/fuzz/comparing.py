"""What explore says of a random scenario, held against the simulator."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.explore.observe import observe
from bench.observation import Observation
from bench.repeat.observe import observe as repeat
from bench.stress.observe import observe as stress
from bench.targets import Found, find
from tests.fixtures.figures import figures_of
from tests.fuzz.scenes import Scene, module
from tests.fuzz.simulator import DEADLOCK, HELD, TooLarge, outcomes


@dataclass(frozen=True)
class Run:
    """How a scene is explored: by which strategy, in how many schedules at most, and whether some are audited."""

    strategy: str
    schedules: int = 3_000
    audited: bool = False


ALL = (Run("dfs", 500), Run("dpor", audited=True), Run("pct", 100))
"""Every way to explore a scene."""


def some(number: int) -> tuple[Run, ...]:
    """Return the ways in which one of thousands of scenes is explored, by its number: dpor always, others in turn."""
    found = [Run("dpor", audited=number % 20 == 0)]
    found += [Run("dfs", 400)] if number % 4 == 1 else []
    found += [Run("pct", 100)] if number % 8 == 2 else []
    return tuple(found)


DEADLINE_S = 20.0
"""How long a process may take to its next step, also on a busy machine."""

_numbers = itertools.count()


@dataclass
class Counted:
    """What was compared: scenes, audits, those gone through, those not judged and why, and uses of each operation."""

    scenes: int = 0
    audited: int = 0
    complete: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """Return the counts as a table."""
        lines = [f"{self.scenes:,} scenes", f"  audited: {self.audited:,}"]
        lines += [f"  gone through by {strategy}: {count:,}" for strategy, count in sorted(self.complete.items())]
        lines += [f"  not judged: {why}: {count:,}" for why, count in self.not_judged.most_common()]
        lines += [f"  {name}: {count:,}" for name, count in sorted(self.used.items())]
        return "\n".join(lines)


def targets(scenes: list[Scene], folder: Path) -> list[Found]:
    """Write scenes into a module of its own, and return them as targets, in their order."""
    path = folder / f"scenes_{next(_numbers)}.py"
    path.write_text(module(scenes), encoding="utf-8")
    by_name = {one.program.name: one for one in find([str(path)])}
    return [by_name[f"S{number}"] for number in range(len(scenes))]


def mismatches(scene: Scene, folder: Path, method: str, counted: Counted, runs: Sequence[Run] = ALL) -> list[str]:
    """Return where explore and the simulator differ.

    An outcome that the simulator does not have is invented, however little was explored. One that it has and explore
    has not is missed, where explore claims to be complete and passes a verdict. Where explore itself finds that steps
    are not as independent as it takes them to be, that is a mismatch too.
    """
    try:
        expected = outcomes(scene)
    except TooLarge:
        counted.not_judged["too large for the simulator"] += 1
        return []
    counted.scenes += 1
    counted.used += scene.used()
    (found,) = targets([scene], folder)
    wrong = []
    for run in runs:
        strategy = run.strategy
        observation = observe(
            found,
            method=method,
            strategy=strategy,
            schedules=run.schedules,
            deadline_s=DEADLINE_S,
            seed=1,
            audited=run.audited,
        )
        counted.audited += run.audited
        came = seen(observation)
        if invented := came - expected:
            wrong.append(f"{strategy} invents {sorted(map(str, invented))}; there are {sorted(map(str, expected))}")
        wrong += [f"{strategy} says: {limit}" for limit in observation.limits if "a bug of forkbench" in limit]
        if observation.limits:
            counted.not_judged[f"{strategy}: {observation.limits[0].partition(',')[0]}"] += 1
        elif figures_of(observation)["complete"]:
            counted.complete[strategy] += 1
            if missed := expected - came:
                wrong.append(f"{strategy} misses {sorted(map(str, missed))}, and says it is complete")
    return wrong


def unseen(scene: Scene, folder: Path, method: str, seconds: float, counted: Counted) -> list[str]:
    """Return what stress saw in some seconds, and repeat in a few samples, that explore says cannot be."""
    counted.scenes += 1
    counted.used += scene.used()
    (found,) = targets([scene], folder)
    explored = observe(found, method=method, strategy="dpor", schedules=3_000, deadline_s=DEADLINE_S)
    if explored.limits or not figures_of(explored)["complete"]:
        counted.not_judged[explored.limits[0].partition(",")[0] if explored.limits else "too many interleavings"] += 1
        return []
    counted.complete["dpor"] += 1
    possible = {_standstill(one) for one in seen(explored)}
    wrong = []
    deadline_s = 2.0 if DEADLOCK in possible else 60.0  # a process that is merely slow is no deadlock
    for mode, ran in (
        ("stress", stress(found, method=method, seconds=seconds, deadline_s=deadline_s, seed=1)),
        ("repeat", repeat(found, method=method, samples=3, deadline_s=deadline_s, seed=1)),
    ):
        came = {one for one in seen(ran) if not str(one).startswith("leak: ")}  # which repeat alone looks for
        if other := set(map(_standstill, came)) - possible:
            wrong.append(f"{mode} sees {sorted(map(str, other))}; explore has {sorted(map(str, possible))}")
    return wrong


def _standstill(outcome: object) -> object:
    """Return an outcome, where that of real time for a deadlock is the deadlock: a hang."""
    return DEADLOCK if isinstance(outcome, str) and outcome.startswith("hang") else outcome


def seen(observation: Observation) -> set[object]:
    """Return the outcomes in the simulator's terms."""
    return {_plain(one.outcome.kind, one.outcome.value, one.outcome.text()) for one in observation.outcomes}


def _plain(kind: str, value: object, text: str) -> object:
    if kind == "value":
        return tuple(value) if isinstance(value, list) else value
    if kind == "leak" and text.endswith("is still held"):
        return HELD
    return DEADLOCK if kind in ("deadlock", "hang") else f"{kind}: {text}"
