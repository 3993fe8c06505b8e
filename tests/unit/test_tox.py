"""tox.ini: an environment for every default cell, from whichever Python there is."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cells import DEFAULT_PYTHONS, parse_python
from bench.matrix.plan import Axes
from tests.conftest import ONCE, SHARED_OUT, is_mine

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("container", "alone", "pinned", "once")
CELLS = [cell.name for cell in Axes().cells()]
BY_MARK = {"once": "once", "pinned": "pinned", "alone": "alone", "container": "containers"}
"""Marks of tests that have an environment of their own, and what it is called."""

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
    assert found == {*CELLS, *TESTS, "lint", "types", "demos", "docs", "fuzz", *BY_MARK.values()}


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
        assert f"pytest tests -m {mark}" in (environments[f"testenv:{name}"]["commands"] or "")


def test_environments_reach_the_index_and_the_engine_as_their_caller_does(
    environments: configparser.ConfigParser,
) -> None:
    wanted = "CI CURL_CA_BUNDLE DOCKER_* HOME PIP_* REQUESTS_CA_BUNDLE SSL_CERT_* TMPDIR XDG_CACHE_HOME https_proxy"
    for name in environments.sections():
        assert set(wanted.split()) <= set((environments[name]["pass_env"] or "").split()), name


def test_any_three_pythons_that_follow_each_other_run_every_test_that_is_shared_out() -> None:
    shares = [
        [is_mine(f"tests/process/test_demos.py::test_{number}", minor) for minor in (12, 13, 14)]
        for number in range(99)
    ]
    assert all(sum(share) == 1 for share in shares)
    assert all(12 < count < 60 for count in map(sum, zip(*shares, strict=True)))


def test_all_is_run_on_one_python_and_shares_on_the_others(environments: configparser.ConfigParser) -> None:
    shared = {name for name in TESTS if "BENCH_TESTS_SHARE=1" in (environments[f"testenv:{name}"]["set_env"] or "")}
    assert set(TESTS) - shared == {"py311"}


def test_modules_that_are_run_once_or_shared_out_are_there() -> None:
    assert {name for name in ONCE if not (ROOT / "tests" / "unit" / f"{name}.py").is_file()} == set()
    assert {name for name in SHARED_OUT if not list((ROOT / "tests").glob(f"*/{name}.py"))} == set()
