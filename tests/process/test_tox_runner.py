"""`runner = bench` in a tox.ini, by the tox that is installed; `tox run -e tox422` and its like run it with others."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.fixtures.checkout import toml

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="cells are pinned"),
    pytest.mark.skipif(sys.implementation.name == "pypy", reason="once is enough, and PyPy starts slowly"),
]

HERE = f"py3{sys.version_info[1]}"

INI = f"""
[tox]
no_package = true

[testenv:py{{311,314}}-{{fork,spawn}}-{{cpu1,quota0.5}}]
runner = bench

[testenv:small]
runner = bench
python =
    small: 3.12
start_method = forkserver
cpus = 2

[testenv:wrong]
runner = bench

[testenv:{HERE}-spawn-cpu1-suite]
runner = bench
engine = local
skip_install = true
set_env =
    GREETING = hello there
change_dir = sub
commands =
    python {{tox_root}}{{/}}sub{{/}}told.py {{posargs}}
"""

TOLD = """
import multiprocessing, os, sys
print(os.environ["GREETING"], multiprocessing.get_start_method(), os.path.basename(os.getcwd()), *sys.argv[1:])
sys.exit(len(sys.argv) - 1)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    (root / "tox.ini").write_text(INI)
    (root / "sub" / "told.py").write_text(TOLD)
    if not any(one.value == "bench.cli.tox_runner" for one in entry_points(group="tox")):
        (root / "toxfile.py").write_text("from bench.cli.tox_runner import tox_register_tox_env\n")
    return root


def tox(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tox", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=240)


def test_the_plugin_is_found_by_its_entry_point() -> None:
    assert toml("pyproject.toml")["project"]["entry-points"]["tox"] == {"forkbench": "bench.cli.tox_runner"}


def test_the_cell_is_that_of_the_settings_or_of_the_name(project: Path) -> None:
    names = ["py311-spawn-cpu1", "py314-fork-quota0.5", "small"]
    done = tox(project, "config", "-e", ",".join(names), "-k", "cell")
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [line for line in done.stdout.splitlines() if line.startswith("cell")]
    assert cells == [f"cell = {name}" for name in (*names[:2], "py312-forkserver-cpu2")]


def test_commands_run_in_the_cell_and_their_exit_status_counts(project: Path) -> None:
    done = tox(project, "run", "-e", f"{HERE}-spawn-cpu1-suite")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello there spawn sub\n" in done.stdout
    assert f"pass    {HERE}-spawn-cpu1 on " in done.stdout
    assert not list((project / ".tox" / f"{HERE}-spawn-cpu1-suite").glob("bin")), "no environment was made"
    failed = tox(project, "run", "-e", f"{HERE}-spawn-cpu1-suite", "--", "x")
    assert failed.returncode == 1
    assert "hello there spawn sub x\n" in failed.stdout


def test_an_environment_without_a_cell_says_what_is_missing(project: Path) -> None:
    (project / "tox.ini").write_text(
        INI.replace("[testenv:wrong]\nrunner = bench", "[testenv:wrong]\nrunner = bench\ncommands = true")
    )
    done = tox(project, "run", "-e", "wrong")
    assert done.returncode != 0
    assert (
        "runner = bench: no python; set it, or name the environment like py314-spawn-cpu2" in done.stdout + done.stderr
    )
