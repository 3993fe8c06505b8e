"""Repeat mode: each sample in a fresh interpreter, under one start method, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.observation import Observation, SampleOutcome, tally
from bench.repeat.sample import Sample, run_sample
from bench.targets import Found
from bench.values import Json

DEFAULT_SAMPLES = 2
"""Few, since a matrix multiplies them by its cells: 36 by default."""

DEFAULT_DEADLINE_S = 20.0


def observe(
    found: Found,
    *,
    method: str,
    cell: str = "local",
    samples: int | None = None,
    seconds: float | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
    on_sample: Callable[[Sample], None] | None = None,
) -> Observation:
    """Run a program again and again, and count its outcomes.

    Args:
        found: the program.
        method: the start method.
        cell: the cell's name, for the record.
        samples: how many; `None` takes the program's own number, or 2. With `seconds` given it is an upper bound.
        seconds: how long to go on; at least one sample is taken. `None` sets no bound.
        deadline_s: how long one sample may take; `None` takes the program's own, or 20 s.
        seed: sample number n is seeded with `seed + n`.
        on_sample: called with each sample as it ends.
    """
    most = samples or found.program.samples or (DEFAULT_SAMPLES if seconds is None else None)
    deadline_s = deadline_s or found.program.deadline_s or DEFAULT_DEADLINE_S
    begun = time.monotonic()
    taken: list[Sample] = []
    while not taken or ((most is None or len(taken) < most) and _in_time(begun, seconds)):
        taken.append(run_sample(found, method=method, deadline_s=deadline_s, seed=seed + len(taken)))
        if on_sample:
            on_sample(taken[-1])
    return _observation(found, cell, taken, time.monotonic() - begun)


def _in_time(begun: float, seconds: float | None) -> bool:
    return seconds is None or time.monotonic() - begun < seconds


def _observation(found: Found, cell: str, taken: list[Sample], seconds: float) -> Observation:
    seen = [SampleOutcome(one.outcome, _witness(one)) for one in taken]
    warned = tuple(dict.fromkeys(warning for one in taken for warning in one.warnings))
    return Observation(
        found.program.target,
        "repeat",
        cell,
        len(taken),
        round(seconds, 6),
        tally([seen]),
        warned,
    )


def _witness(sample: Sample) -> dict[str, Json]:
    witness: dict[str, Json] = {"seed": sample.seed, "seconds": round(sample.seconds, 6)}
    if sample.outcome.kind != "value" and sample.stderr:
        witness["stderr"] = sample.stderr
    return witness
