"""What is chosen to be installed, from the files of a project alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.errors import UsageError
from bench.matrix.install import Asked, Checkout, Install, choose
from bench.matrix.install.version import counted
from tests.fixtures.checkout import ROOT

PROJECT = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\nname = "My.Thing"\n'
SETUP = 'from setuptools import setup\nLINES = ["six"]\nsetup(name="it", install_requires=LINES'
UNASKED = Asked()


def plan(files: Mapping[str, str], asked: Asked = UNASKED, version: str | None = None) -> Install:
    return choose(Checkout(tuple(files), files.get), asked, version=lambda: version)


def test_a_group_and_an_extra_for_tests_are_both_taken() -> None:
    text = (
        f'{PROJECT}version = "1"\ndependencies = ["attrs"]\n'
        '[project.optional-dependencies]\ndev = ["ruff"]\ntests = ["psutil", "my_thing[fast]"]\nfast = ["numpy"]\n'
        '[dependency-groups]\ntest = [{include-group = "base"}, "pytest>=8"]\nbase = ["six"]\ndev = ["mypy"]\n'
    )
    found = plan({"pyproject.toml": text, "requirements-test.txt": "never"})
    assert (found.project, found.extras) == (True, ("tests",))
    assert found.requirements == ("six", "pytest>=8", "attrs", "psutil", "numpy")
    assert found.build == ("hatchling",)
    assert found.why == "the project (by its pyproject.toml), the group test and the extra tests"


@pytest.mark.parametrize(
    ("files", "requirements", "why"),
    [
        ({"requirements-dev.txt": "black", "test-requirements.txt": "mock # for old\n"}, ("mock",), "test-req"),
        (
            {"requirements/test.txt": "-r base.txt\npsutil", "requirements/base.txt": "six"},
            ("six", "psutil"),
            "nts/test",
        ),
        ({"dev-requirements.txt": "black \\\n  >= 1"}, ("black >= 1",), "dev-requirements.txt"),
        ({"tests/test-requirements.txt": "never", "tox.ini": "[testenv]\ndeps = never"}, (), "named after tests"),
    ],
)
def test_requirements_files_are_taken_where_no_group_or_extra_is(
    files: dict[str, str], requirements: tuple[str, ...], why: str
) -> None:
    found = plan({"setup.py": "from setuptools import setup\nsetup(name='it')", **files})
    assert (found.project, found.requirements) == (True, requirements)
    assert why in found.why


def test_a_setup_py_is_read_and_never_run() -> None:
    found = plan(
        {"setup.py": f'{SETUP}, extras_require={{"testing": ["tox"]}}, tests_require="mock")\nraise SystemExit'}
    )
    assert (found.extras, found.requirements) == (("testing",), ("six", "tox"))
    assert found.build == ("setuptools", "wheel")
    assert plan({"setup.py": f'{SETUP}, tests_require="mock")'}).requirements == ("mock", "six")
    assert plan({"setup.py": "def ("}).project, "pip says what is wrong with it"


def test_what_a_setup_py_computes_is_taken_from_the_metadata_of_a_source_distribution() -> None:
    packaged = (
        "Metadata-Version: 2.1\nName: it\nVersion: 3.1\nProvides-Extra: test\nRequires-Dist: dill>=0.4\n"
        "Requires-Dist: mock; (python_version < '3.12') and extra == 'test'\nRequires-Dist: six ; extra == 'test'\n"
    )
    found = plan({"setup.py": "setup(**known)", "PKG-INFO": packaged})
    assert found.requirements == ("dill>=0.4", "mock; (python_version < '3.12')", "six")


def test_setup_cfg_names_requirements_and_files_of_them() -> None:
    text = (
        "[metadata]\nname = it\n[options]\ninstall_requires =\n    six\n    attrs; python_version < '4'\n"
        "[options.extras_require]\ntest = file: needs.txt\n"
    )
    found = plan({"setup.cfg": text, "needs.txt": "mock\n"})
    assert (found.project, found.requirements) == (True, ("six", "attrs; python_version < '4'", "mock"))


def test_dynamic_dependencies_come_from_the_files_that_setuptools_reads() -> None:
    text = (
        '[project]\nname = "it"\ndynamic = ["version", "dependencies"]\n'
        '[tool.setuptools.dynamic]\ndependencies = {file = "needs.txt"}\n'
    )
    assert plan({"pyproject.toml": text, "needs.txt": "six\n"}).requirements == ("six",)


def test_a_folder_without_a_project_has_its_requirements_installed() -> None:
    found = plan({"test_a.py": "", "requirements.txt": "numpy\n"})
    assert (found.project, found.requirements, found.why) == (False, ("numpy",), "requirements.txt")
    bare = plan({"test_a.py": "", "pyproject.toml": "[tool.pytest.ini_options]\n"})
    assert (bare.builds, bare.requirements) == (False, ())
    assert bare.why.startswith("nothing: no pyproject.toml or setup.py builds it")


def test_settings_go_before_what_is_found() -> None:
    files = {
        "pyproject.toml": f'{PROJECT}version = "1"\n[project.optional-dependencies]\ntest = ["a"]\nother = ["b"]\n',
        "lists/ci.txt": "-c limits.txt\n./libs/x\nsix",
        "lists/limits.txt": "six<2",
    }
    bare = plan(files, Asked(requirements=("six",)))
    assert (bare.project, bare.requirements) == (False, ("six",))
    itself = plan(files, Asked(requirements=("-e .[other]", "-r lists/ci.txt")))
    assert (itself.project, itself.extras) == (True, ("other",))
    assert itself.requirements == ("-c lists/limits.txt", "./lists/libs/x", "six", "b")
    assert itself.needs_files
    extras = plan(files, Asked(extras=("Other",)))
    assert (extras.project, extras.requirements, extras.why) == (
        True,
        ("b",),
        "the project (by its pyproject.toml) and extras of [tool.bench]",
    )
    assert plan(files, Asked(requirements=())).requirements == ()
    command = plan(files, Asked(command="make install"))
    assert (command.command, command.project, command.builds) == ("make install", False, True)


TOX = (
    "[testenv]\ndeps =\n    mock\n    py311: never\n[testenv:ci-slow]\ndeps =\n    slow,fast: psutil\n    -r more.txt\n"
)
NOX = "@nox.session\ndef tests(session):\n  session.install('-e', '.', 'mock', '-r', 'more.txt')\n  session.run('x')\n"


@pytest.mark.parametrize(
    ("named", "project", "requirements"),
    [
        ("tox.ini", False, ("mock",)),
        ("tox.ini:ci-slow", False, ("psutil", "six")),
        ("noxfile.py", True, ("mock", "six")),
        ("noxfile.py:tests", True, ("mock", "six")),
    ],
)
def test_what_tox_and_nox_install_is_taken_where_it_is_named(
    named: str, project: bool, requirements: tuple[str, ...]
) -> None:
    files = {"setup.py": "setup(name='it')", "tox.ini": TOX, "noxfile.py": NOX, "more.txt": "six"}
    found = plan(files, Asked(requirements=(named,)))
    assert (found.project, found.requirements) == (project, requirements)
    assert plan(files).requirements == (), "only where it is named"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(extras=("tset",)), "no extra 'tset'; it has test"),
        (Asked(groups=("tset",)), "no dependency group 'tset'; it has loop"),
        (Asked(groups=("loop",)), "'loop' cannot be read"),
        (Asked(requirements=("-r none.txt",)), "requirements file none.txt: no such file"),
        (Asked(requirements=("noxfile.py:x",)), "no session x"),
        (Asked(requirements=("tox.ini:odd",)), "replaced by tox alone"),
    ],
)
def test_what_is_named_and_not_there_is_the_users_mistake(asked: Asked, words: str) -> None:
    groups = '[dependency-groups]\nloop = [{include-group = "loop"}]\n'
    text = f"{PROJECT}[project.optional-dependencies]\ntest = []\n{groups}"
    files = {"pyproject.toml": text, "noxfile.py": NOX, "tox.ini": "[testenv:odd]\ndeps = {[base]deps}\n"}
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        plan(files, asked)
    with pytest.raises(UsageError, match=r"no pyproject\.toml or setup\.py says how it is built"):
        plan({"a.py": ""}, Asked(requirements=(".",)))


@pytest.mark.parametrize(
    ("more", "tag", "expected"),
    [({"PKG-INFO": "Name: it\nVersion: 3.1\n"}, "4.0", "3.1"), ({}, "4.0", "4.0"), ({}, None, "0.0.0.dev0")],
)
def test_a_build_that_asks_version_control_is_told_a_version(
    more: dict[str, str], tag: str | None, expected: str
) -> None:
    text = PROJECT.replace('"hatchling"]', '"hatchling", "hatch-vcs"]')
    found = plan({"pyproject.toml": text, **more}, version=tag)
    assert dict(found.variables)["SETUPTOOLS_SCM_PRETEND_VERSION"] == expected
    assert found.why.endswith(f"its version is set to {expected}, since cells have no history to take it from")
    assert plan({"pyproject.toml": PROJECT, **more}, version=tag).variables == ()


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("v1.2.3-0-gabc", "1.2.3"),
        ("1.2-14-gabc", "1.3.dev14"),
        ("release-2.0rc1-3-gabc", "2.0.dev3"),
        ("nightly-3-gabc", None),
        ("", None),
    ],
)
def test_a_version_is_counted_from_the_newest_tag(description: str, expected: str | None) -> None:
    assert counted(description) == expected


def test_sources_of_native_code_ask_for_a_compiler_and_those_of_tests_do_not() -> None:
    files = {"setup.py": "setup(name='it')", "tests/helper.c": "", "docs/x.rs": ""}
    assert plan(files).native == ""
    assert plan({**files, "src/it/_fast.pyx": ""}).native == "src/it/_fast.pyx"


def test_this_project_installs_itself_with_what_its_tests_need() -> None:
    found = plan({"pyproject.toml": (ROOT / "pyproject.toml").read_text(encoding="utf-8")})
    assert found.project
    assert any(line.startswith("hypothesis") for line in found.requirements)
