"""What explore says of a random scenario, held against the simulator."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.explore.observe import observe
from bench.observation import Observation
from bench.repeat.observe import observe as repeat
from bench.stress.observe import observe as stress
from bench.targets import Found, find
from tests.fixtures.figures import figures_of
from tests.fuzz.scenes import Scene, module
from tests.fuzz.simulator import DEADLOCK, TooLarge, outcomes

MOST_SCHEDULES = 3_000
OF_PCT = 100

_numbers = itertools.count()


@dataclass
class Counted:
    """What was compared: scenes, those gone through, those not judged and why, how often each operation occurred."""

    scenes: int = 0
    complete: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """Return the counts as a table."""
        lines = [f"{self.scenes:,} scenes"]
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


def mismatches(scene: Scene, folder: Path, method: str, counted: Counted) -> list[str]:
    """Return where explore and the simulator differ.

    An outcome that the simulator does not have is invented, however little was explored. One that it has and explore
    has not is missed, where explore claims to be complete and passes a verdict.
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
    for strategy in ("dfs", "dpor", "pct"):
        most = OF_PCT if strategy == "pct" else MOST_SCHEDULES
        audited = strategy == "dpor"
        observation = observe(
            found, method=method, strategy=strategy, schedules=most, deadline_s=20, seed=1, audited=audited
        )
        came = seen(observation)
        if invented := came - expected:
            wrong.append(f"{strategy} invents {sorted(map(str, invented))}; there are {sorted(map(str, expected))}")
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
    explored = observe(found, method=method, strategy="dpor", schedules=MOST_SCHEDULES, deadline_s=20)
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
    return DEADLOCK if kind == "deadlock" else f"{kind}: {text}"
