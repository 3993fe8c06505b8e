"""The exit status of a run says the worst that is to be said of it."""

from __future__ import annotations

import pytest

from bench.record import CellStatus, End
from bench.report.loaded import CellRecords, RunRecords
from bench.report.status import exit_status


def run_of(*cells: tuple[CellStatus, str], asked: tuple[str, ...] = (), interrupted: bool = False) -> RunRecords:
    planned = [{"cell": f"c{n}", "decision": decision, "why": ""} for n, (_, decision) in enumerate(cells)]
    records = [CellRecords(f"c{n}", None, (), (), End(f"c{n}", s, "", 1.0)) for n, (s, _) in enumerate(cells)]
    return RunRecords({"cells": planned, "asked": list(asked), "interrupted": interrupted}, tuple(records))


PASS: tuple[CellStatus, str] = ("pass", "run")
FEW_CPUS: tuple[CellStatus, str] = ("unavailable", "unavailable")
NO_IMAGE: tuple[CellStatus, str] = ("unavailable", "run")
SKIPPED: tuple[CellStatus, str] = ("excluded", "excluded")


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (run_of(PASS), 0),
        (run_of(PASS, SKIPPED), 0),
        (run_of(PASS, FEW_CPUS), 0),
        (run_of(PASS, FEW_CPUS, asked=("python",)), 0),
        (run_of(PASS, FEW_CPUS, asked=("cpus",)), 5),
        (run_of(PASS, NO_IMAGE), 0),
        (run_of(PASS, NO_IMAGE, asked=("cpus",)), 0),
        (run_of(PASS, NO_IMAGE, asked=("python",)), 4),
        (run_of(NO_IMAGE), 4),
        (run_of(NO_IMAGE, FEW_CPUS, SKIPPED), 4),
        (run_of(FEW_CPUS), 5),
        (run_of(SKIPPED, FEW_CPUS), 5),
        (run_of(PASS, ("fail", "run")), 1),
        (run_of(PASS, ("timeout", "run")), 1),
        (run_of(PASS, ("oom", "run")), 1),
        (run_of(PASS, ("crash", "run")), 1),
        (run_of(("fail", "run"), ("error", "run"), ("unknown", "run"), FEW_CPUS, asked=("cpus",)), 1),
        (run_of(PASS, ("error", "run"), ("unknown", "run")), 4),
        (run_of(PASS, ("unknown", "run")), 5),
        (run_of(PASS, ("mismatch", "run")), 5),
        (run_of(PASS, ("interrupted", "run"), ("fail", "run")), 130),
        (run_of(PASS, interrupted=True), 130),
    ],
)
def test_exit_status(run: RunRecords, status: int) -> None:
    assert exit_status(run) == status
