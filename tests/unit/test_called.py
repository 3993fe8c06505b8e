"""`bench` and `forkbench` are one command, and each names itself in what it tells a person to type."""

from __future__ import annotations

import sys

import pytest

from bench.called import COMMANDS, called_as, command_name
from bench.cli import main
from bench.report.lines import plain
from bench.report.loaded import read
from bench.report.summary import report
from tests.fixtures.checkout import ROOT, toml


def test_both_commands_are_installed_and_start_the_same() -> None:
    assert toml("pyproject.toml")["project"]["scripts"] == dict.fromkeys(COMMANDS, "bench.cli:main")


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("bench", "bench"),
        ("/usr/local/bin/forkbench", "forkbench"),
        ("forkbench.exe", "forkbench"),
        ("/site-packages/bench/__main__.py", "bench"),
        ("pytest", "bench"),
        ("", "bench"),
    ],
)
def test_a_name_that_is_none_of_ours_counts_as_bench(program: str, name: str) -> None:
    with called_as(program) as called:
        assert called == name == command_name()
    assert command_name() == "bench"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_errors_show_the_name_called(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}"])
    assert main(["run", "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: {name} run ")
    assert main(["run", "--frob"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"{name}: no such option '--frob'")
    assert err.endswith(f"(see {name} run --help)\n")
    assert main(["replay", __file__]) == 2
    assert f"give a file that {name} explore wrote" in capsys.readouterr().err


def test_the_line_that_reproduces_a_finding_is_typed_as_this_command_was() -> None:
    run = read(ROOT / "tests/fixtures/recorded/suite")
    line = "again: {} cell py311-spawn-cpu1 --engine local --seed 0 -- pytest -q test_suite.py"
    assert line.format("bench") in plain(report(run))
    with called_as("forkbench"):
        assert line.format("forkbench") in plain(report(run))
