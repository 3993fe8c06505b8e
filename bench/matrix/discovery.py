"""Interpreters of this host, found by the `python-discovery` library that virtualenv and tox use too."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cells import Python
from bench.process.folders import cache_folder


@dataclass(frozen=True)
class Interpreter:
    """An installed interpreter: its executable, its version with the patch level, where it and its library are."""

    path: Path
    version: str
    prefix: Path
    stdlib: Path


@functools.cache
def find(python: Python) -> Interpreter | None:
    """Return this host's interpreter of a version; `None` if it has none.

    The search is made once per process, and the answers of interpreters are cached in the user's cache folder. A
    virtual environment stands for the interpreter that it was made from. Variants are those of images: no host has one.
    """
    if python.variant:
        return None
    from python_discovery import DiskCache, PythonInfo, get_interpreter

    def usable(info: PythonInfo) -> bool:
        same = info.free_threaded == python.free_threaded and python.patch in (None, info.version_info.micro)
        return same and Path(info.system_executable or "").is_file()

    environment = {**os.environ, "PATH": search_path(os.environ)}
    spec = f"{python.implementation}{python}" if python.implementation == "cpython" else str(python)
    found = get_interpreter(spec, cache=DiskCache(cache_folder(os.environ)), env=environment, predicate=usable)
    if found is None or found.system_executable is None:
        return None
    version = ".".join(str(part) for part in found.version_info[:3])
    executable = Path(found.system_executable)
    prefix = Path(found.base_prefix) if found.base_prefix else executable.parent.parent
    return Interpreter(executable, version, prefix.resolve(), Path(found.system_stdlib or prefix / "lib").resolve())


def search_path(environment: Mapping[str, str]) -> str:
    """Return `PATH` without pyenv's shims, and with pyenv's versions at its end, newest first.

    A shim starts only the versions that are activated; the interpreters behind it can be started directly.
    """
    root = pyenv_root(environment)
    entries = [entry for entry in environment.get("PATH", os.defpath).split(os.pathsep) if entry]
    kept = [entry for entry in entries if not (Path(entry).name == "shims" and Path(entry).is_relative_to(root))]
    return os.pathsep.join([*kept, *(str(folder) for folder in _pyenv_folders(root))])


def pyenv_root(environment: Mapping[str, str]) -> Path:
    """Return the folder of pyenv, whether or not it exists."""
    named = environment.get("PYENV_ROOT")
    return Path(named) if named else Path("~/.pyenv").expanduser()


def _pyenv_folders(root: Path) -> Iterator[Path]:
    try:
        versions = [entry for entry in (root / "versions").iterdir() if (entry / "bin").is_dir()]
    except OSError:
        return
    for version in sorted(versions, key=lambda entry: _newest_first(entry.name)):
        yield version / "bin"


def _newest_first(name: str) -> tuple[int, ...]:
    """Order names such as `3.12.1`, `pypy3.11-7.3.19` and `3.13-dev` by their numbers, greatest first."""
    numbers = "".join(letter if letter.isdigit() else " " for letter in name).split()
    return tuple(-int(number) for number in numbers)
