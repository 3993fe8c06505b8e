"""Signatures of failed tests: the same text for failures of one cause, whichever Python or process they come from."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bench.causes import cause_of
from bench.process import starting

SIGNATURE = "bench_signature"
HUNG = "bench_hung"
"""The attributes of a report that take both to the process that writes the records."""

_LONGEST = 300
_STDLIB = Path(os.__file__).parent
_PATCHES = (Path(starting.__file__).parent, Path(__file__).parent)
_RUNNERS = re.compile(r"[/\\](_pytest|pytest|pluggy|xdist)[/\\]")
_TIMEOUT = re.compile(r"Timeout .*from pytest-timeout")


def attach_cause(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException], root: Path) -> None:
    """Attach the signature of a failure to its report."""
    message = str(excinfo.value)
    first = message.strip().partition("\n")[0][:_LONGEST]
    setattr(report, SIGNATURE, f"{cause_of(excinfo.type.__name__, first)} in {_place(excinfo, root)}")
    setattr(report, HUNG, _TIMEOUT.search(message) is not None)


def _place(excinfo: pytest.ExceptionInfo[BaseException], root: Path) -> str:
    """Return the innermost function outside of the standard library and pytest, without its line, which moves."""
    own = [entry for entry in excinfo.traceback if _is_users(Path(entry.path))]
    if not own:
        return "pytest"
    path = Path(own[-1].path)
    return f"{path.relative_to(root) if path.is_relative_to(root) else path.name}:{own[-1].name}"


def _is_users(path: Path) -> bool:
    if _RUNNERS.search(str(path)) or any(map(path.is_relative_to, _PATCHES)):
        return False
    return "site-packages" in path.parts or not path.is_relative_to(_STDLIB)
