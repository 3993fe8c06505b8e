"""Times of earlier runs: long cells start first by them, and shards are balanced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.inputs import RUNS
from bench.cli.output import say
from bench.errors import UsageError
from bench.record import read_run

if TYPE_CHECKING:
    from bench.matrix.plan import Settings, Shard


def earlier_seconds(runs: Path, asked: Settings, *, whole: bool = False) -> dict[str, float]:
    """Return the seconds that cells took in the latest run of the same targets or command; none without such a run.

    Args:
        runs: the folder that the runs are in.
        asked: what is to run.
        whole: whether only a run of all cells will do, not one of a shard or of failed tests.
    """
    found = _latest(runs, asked, whole=whole)
    return {} if found is None else _seconds(found[1])


def shard_seconds(given: str | None, out: str | None, asked: Settings, shard: Shard | None) -> dict[str, float]:
    """Return the seconds of cells by which the matrix is divided into shards, and report which run they are of.

    Every machine must divide it in the same way. So a run that was itself a shard does not count unless it is given:
    each machine would find its own.

    Args:
        given: the run that `--durations` names.
        out: the folder that `--out` names.
        asked: what is to run.
        shard: which shard; `None` needs no times.

    Raises:
        UsageError: if the run that is given is none, or there is nothing to divide.
    """
    if shard is None:
        if given is not None:
            raise UsageError("--durations balances shards; give --shard I/N with it")
        return {}
    if given is not None:
        seconds = _seconds(read_run(Path(given)))
        if not seconds:
            raise UsageError(f"--durations {given}: no cell of that run has ended; give another run")
        return seconds
    found = _latest(Path(RUNS) if out is None else Path(out).parent, asked, whole=True)
    if found is None:
        return {}
    say(f"shards are balanced by the times of {found[0]}; all machines need the same: --durations {found[0]}")
    return _seconds(found[1])


def _latest(runs: Path, asked: Settings, *, whole: bool) -> tuple[Path, dict[str, Any]] | None:
    for path in sorted(runs.glob("*/run.json"), reverse=True):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            same = all(run[name] == list(getattr(asked, name)) for name in ("targets", "command"))
            sampling = asked.sampling
            same = same and run["modes"] == list(sampling.modes) and run["samples"] == sampling.samples
            part = run.get("shard") or run.get("failed_of") or not run.get("ended")
            if same and _seconds(run) and not (whole and part):
                return path.parent, run
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no complete run: the estimates will do
    return None


def _seconds(run: dict[str, Any]) -> dict[str, float]:
    """Return the seconds that the command took, once, in each cell of a run."""
    times = int(run.get("repeat") or 1)
    return {one["cell"]: float(one["seconds"]) / times for one in run["cells"] if one.get("seconds")}
