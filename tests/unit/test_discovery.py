from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cells import Python
from bench.matrix.discovery import find, pyenv_root, search_path
from bench.process.folders import cache_folder


def version(root: Path, name: str) -> Path:
    folder = root / "versions" / name / "bin"
    folder.mkdir(parents=True)
    return folder


def test_versions_of_pyenv_come_last_newest_first_and_its_shims_not_at_all(tmp_path: Path) -> None:
    root = tmp_path / "pyenv"
    folders = [version(root, name) for name in ("3.9.18", "3.12.1", "3.12.10", "pypy3.11-7.3.19")]
    path = os.pathsep.join([str(root / "shims"), "/usr/bin", str(root / "plugins" / "x" / "shims"), "/elsewhere/shims"])

    found = search_path({"PATH": path, "PYENV_ROOT": str(root)}).split(os.pathsep)

    assert found[:2] == ["/usr/bin", "/elsewhere/shims"]
    assert found[2:] == [str(folders[i]) for i in (2, 1, 3, 0)]


def test_without_pyenv_the_path_is_as_it_was(tmp_path: Path) -> None:
    assert search_path({"PATH": "/usr/bin:/bin", "PYENV_ROOT": str(tmp_path / "none")}) == "/usr/bin:/bin"


def test_pyenv_is_at_home_unless_its_variable_names_another_folder() -> None:
    assert pyenv_root({}) == Path.home() / ".pyenv"


@pytest.mark.parametrize("named", ["", "relative/cache"])
def test_a_cache_folder_that_is_not_absolute_is_passed_over(named: str) -> None:
    assert cache_folder({"XDG_CACHE_HOME": named}) == Path.home() / ".cache" / "forkbench"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="looks for the CPython that runs the tests")
def test_the_running_python_is_found_with_its_patch_level_outside_its_virtual_environment() -> None:
    found = find(Python("cpython", "{}.{}".format(*sys.version_info[:2])))

    assert found is not None
    assert found.version.split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert (found.stdlib / "os.py").is_file()
    said = subprocess.run(
        [found.path, "-I", "-c", "import sys; print(sys.prefix == sys.base_prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "True"


def test_a_python_that_no_host_has_is_none() -> None:
    assert find(Python("cpython", "3.99")) is None


def test_variants_are_images_and_no_interpreters_of_the_host() -> None:
    assert find(Python("cpython", f"3.{sys.version_info[1]}", variant="alpine")) is None


def test_a_patch_level_is_found_only_as_it_is() -> None:
    here = find(Python("cpython", f"3.{sys.version_info[1]}"))
    assert here is not None
    minor, patch = here.version.rsplit(".", 1)
    assert find(Python("cpython", minor, int(patch))) == here
    assert find(Python("cpython", minor, 98)) is None
