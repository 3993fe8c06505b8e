"""tox.ini: an environment for every default cell, from whichever Python there is."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cells import DEFAULT_PYTHONS, parse_python
from bench.matrix.plan import Axes
from tests.conftest import ONCE, SHARED_OUT, is_of

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("container", "alone", "pinned", "once")
CELLS = [cell.name for cell in Axes().cells()]
BY_MARK = {"once": "once", "pinned": "pinned", "alone": "alone", "container": "containers"}
"""Marks of tests that have an environment of their own, and what it is called."""

OTHER_TOX = ("tox422", "tox430", "toxlatest")
"""Environments of the test of `runner = bench`, each with another tox."""

TESTS = [parse_python(text).tag for text in DEFAULT_PYTHONS]


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> configparser.ConfigParser:
    """What tox makes of its configuration, each environment a section."""
    keys = [
        "env_dir",
        "base_python",
        "commands",
        "package",
        "runner",
        "pass_env",
        "dependency_groups",
        "skip_install",
        "set_env",
    ]
    command = [sys.executable, "-m", "tox", "config", "-c", str(ROOT / "tox.ini"), "--workdir"]
    command += [str(tmp_path_factory.mktemp("tox")), "-e", "ALL", "-k", *keys]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    parser = configparser.ConfigParser(allow_no_value=True, interpolation=None, strict=False)
    parser.read_string(done.stdout)
    for name in [one for one in parser.sections() if one == "tox" or one.startswith("testenv:.pkg")]:  # tox's own
        parser.remove_section(name)
    return parser


def test_every_default_cell_has_its_environment(environments: configparser.ConfigParser) -> None:
    found = {name.removeprefix("testenv:") for name in environments.sections()}
    assert found == {*CELLS, *TESTS, "lint", "types", "demos", "docs", "fuzz", *OTHER_TOX, *BY_MARK.values()}


def test_a_cell_runs_itself_on_the_python_that_tox_has(environments: configparser.ConfigParser) -> None:
    for name in CELLS:
        section = environments[f"testenv:{name}"]
        assert section["commands"] == f"python -m bench cell {name}"
        assert section["base_python"] == sys.executable
    assert len({environments[f"testenv:{name}"]["env_dir"] for name in CELLS}) == 1, "made once, for all cells"


def test_tests_run_on_the_python_they_are_named_for(environments: configparser.ConfigParser) -> None:
    for name in TESTS:
        section = environments[f"testenv:{name}"]
        assert section["base_python"] == name
        assert f"-m '{' and '.join(f'not {mark}' for mark in LEFT_OUT)}'" in (section["commands"] or "")


def test_what_the_pythons_leave_out_has_an_environment_that_runs_it(environments: configparser.ConfigParser) -> None:
    assert set(LEFT_OUT) == set(BY_MARK)
    for mark, name in BY_MARK.items():
        # What is marked `alone` and `container` is run where the engine is, and by itself: tests/container/conftest.py.
        marks = "'alone and not container'" if mark == "alone" else mark
        assert f"pytest tests -m {marks} " in f"{environments[f'testenv:{name}']['commands']} "


def test_environments_reach_the_index_and_the_engine_as_their_caller_does(
    environments: configparser.ConfigParser,
) -> None:
    wanted = "CI CURL_CA_BUNDLE DOCKER_* HOME PIP_* REQUESTS_CA_BUNDLE SSL_CERT_* TMPDIR XDG_CACHE_HOME https_proxy"
    for name in environments.sections():
        assert set(wanted.split()) <= set((environments[name]["pass_env"] or "").split()), name


@pytest.mark.parametrize("count", range(1, len(TESTS) + 1))
def test_pythons_that_share_tests_out_run_all_of_them_together(count: int) -> None:
    tests = [f"tests/process/test_demos.py::test_{number}" for number in range(99)]
    for first in range(len(TESTS) - count + 1):
        pythons = TESTS[first : first + count]
        shares = [{test for test in tests if is_of(python, pythons, test)} for python in pythons]
        assert set().union(*shares) == set(tests)
        assert sum(map(len, shares)) == len(tests)
        assert all(len(share) > len(tests) / count / 2 for share in shares), "a share is much too small"


HERE = f"py{sys.version_info[0]}{sys.version_info[1]}"
SHARING = """
[tox]
env_list = py{310,311,312,313,399}, other
skip_missing_interpreters = true
[testenv]
package = skip
commands = python -c "import os; print('of', '{env_name}:', os.environ.get('BENCH_TESTS_SHARE'))"
"""


def test_tox_tells_each_python_which_of_those_that_are_there_run_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tox.ini").write_text(SHARING)
    (tmp_path / "toxfile.py").write_text((ROOT / "toxfile.py").read_text())
    told = tox_run(tmp_path)
    ran = [name for name in told if name.startswith("py")]
    assert "py399" not in ran
    assert set(ran) >= ({HERE} & {"py310", "py311", "py312", "py313"})
    assert told == {**dict.fromkeys(ran, " ".join(ran)), "other": "None"}
    for name in ran[:1]:
        assert tox_run(tmp_path, "-e", name) == {name: name}


def tox_run(folder: Path, *arguments: str) -> dict[str, str]:
    """What each environment said that ran, in their order."""
    command = [sys.executable, "-m", "tox", "run", "-c", str(folder / "tox.ini"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(re.findall(r"^of (\w+): (.*)$", done.stdout, re.MULTILINE))


def test_what_asks_for_the_version_is_not_shared_out() -> None:
    files = [file for name in SHARED_OUT for file in (ROOT / "tests").glob(f"*/{name}.py")]
    for function in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_"):
            compared = [ast.unparse(one) for one in ast.walk(function) if isinstance(one, ast.Compare)]
            marks = {ast.unparse(one) for one in function.decorator_list}
            asks = any("sys.version_info" in one for one in compared)
            assert not asks or "pytest.mark.each_python" in marks, f"{function.name}: mark it, else none may run it"


def test_modules_that_are_run_once_or_shared_out_are_there() -> None:
    assert {name for name in ONCE if not (ROOT / "tests" / "unit" / f"{name}.py").is_file()} == set()
    assert {name for name in SHARED_OUT if not list((ROOT / "tests").glob(f"*/{name}.py"))} == set()
