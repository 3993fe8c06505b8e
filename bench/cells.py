"""Cells: a Python x a start method x a number of CPUs, and their names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import UsageError
from bench.outcomes import METHODS

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "pypy3.11")
"""The Pythons that the matrix knows, oldest first; the last is the other implementation."""

DEFAULT_PYTHONS = PYTHONS[:6]
MAX_CPUS = 1024


@dataclass(frozen=True, order=True)
class Python:
    """An implementation and a minor version, such as CPython 3.14."""

    implementation: str
    version: str

    def __str__(self) -> str:
        return self.version if self.implementation == "cpython" else f"{self.implementation}{self.version}"

    @property
    def tag(self) -> str:
        """The part of a cell's name: `py314`, `pypy311`."""
        prefix = "py" if self.implementation == "cpython" else self.implementation
        return prefix + self.version.replace(".", "")

    @property
    def image(self) -> str:
        """The official image of this Python."""
        name = "python" if self.implementation == "cpython" else self.implementation
        return f"{name}:{self.version}-slim"


def parse_python(text: str) -> Python:
    """Read `3.14`, `py314`, `pypy3.11` or `pypy311`.

    Raises:
        UsageError: if it is no Python that the matrix knows.
    """
    found = re.fullmatch(r"(py|pypy|cpython)?-?3\.?(\d{1,2})", text.strip().lower())
    if found:
        python = Python("pypy" if found[1] == "pypy" else "cpython", f"3.{int(found[2])}")
        if str(python) in PYTHONS:
            return python
    raise UsageError(f"unknown Python {text!r}; there are {', '.join(PYTHONS)}")


@dataclass(frozen=True)
class Cell:
    """One place to run in: `cpus` exact CPUs it is pinned to, or a `quota` of CPU time, unpinned."""

    python: Python
    method: str
    cpus: int
    quota: float | None = None

    @property
    def name(self) -> str:
        """The cell's name, such as `py314-spawn-cpu2` or `py314-fork-quota0.5`."""
        size = f"cpu{self.cpus}" if self.quota is None else f"quota{self.quota:g}"
        return f"{self.python.tag}-{self.method}-{size}"

    def __str__(self) -> str:
        return self.name


def parse_method(text: str) -> str:
    """Read a start method.

    Raises:
        UsageError: if there is none of this name.
    """
    if text not in METHODS:
        raise UsageError(f"unknown start method {text!r}; there are {', '.join(METHODS)}")
    return text


def parse_cpus(text: str) -> int:
    """Read a number of CPUs.

    Raises:
        UsageError: if it is not a whole number from 1 to 1024.
    """
    if not text.strip().isdecimal() or not 1 <= int(text) <= MAX_CPUS:
        raise UsageError(f"CPUs {text!r}: give whole numbers from 1 to {MAX_CPUS}, for example --cpus 1,2")
    return int(text)


def parse_quota(text: str) -> float:
    """Read a quota of CPU time, such as `quota0.5`, in CPUs.

    Raises:
        UsageError: if it is not more than 0 and at most 1024.
    """
    found = re.fullmatch(r"quota(\d+(?:\.\d+)?)", text)
    if not found or not 0 < float(found[1]) <= MAX_CPUS:
        raise UsageError(f"quota {text!r}: give more than 0 and at most {MAX_CPUS} CPUs, for example quota0.5")
    return float(found[1])


def parse_cell(name: str) -> Cell:
    """Read a cell's name.

    Raises:
        UsageError: if it is not of the form PYTHON-METHOD-cpuN or PYTHON-METHOD-quotaX.
    """
    found = re.fullmatch(r"([a-z]+\d+)-([a-z]+)-(?:cpu(\d+)|quota(\d+(?:\.\d+)?))", name)
    if not found:
        raise UsageError(f"{name!r} is no cell's name; they look like py314-spawn-cpu2 or py314-fork-quota0.5")
    python, method = parse_python(found[1]), parse_method(found[2])
    if found[3] is not None:
        return Cell(python, method, parse_cpus(found[3]))
    if not 0 < (quota := float(found[4])) <= MAX_CPUS:
        raise UsageError(f"{name!r}: a quota is more than 0 and at most {MAX_CPUS} CPUs")
    return Cell(python, method, 0, quota)
