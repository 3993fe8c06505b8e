"""Cells: a Python x a start method x CPUs (pinned, as a quota, as Python counts them), and their names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import UsageError
from bench.outcomes import METHODS

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "pypy3.11")
"""The Pythons that the matrix knows, oldest first; the last is the other implementation."""

DEFAULT_PYTHONS = PYTHONS[:6]
MAX_CPUS = 1024


FREE_THREADED = ("3.13", "3.14", "3.15")
"""The versions of CPython that can be built without the global interpreter lock."""


@dataclass(frozen=True)
class Python:
    """An implementation and a version, such as CPython 3.14, as narrowly as a cell asks for it.

    `version` is the minor one; `patch` is `None` where any will do. `free_threaded` is a build without the global
    interpreter lock. `variant` is that of an image: the rest of its tag, as in `python:3.14-alpine`.
    """

    implementation: str
    version: str
    patch: int | None = None
    free_threaded: bool = False
    variant: str = ""

    def __str__(self) -> str:
        prefix = "" if self.implementation == "cpython" else self.implementation
        return f"{prefix}{self.version}{self._rest}"

    @property
    def _rest(self) -> str:
        patch = "" if self.patch is None else f".{self.patch}"
        return f"{patch}{'t' * self.free_threaded}{'-' * bool(self.variant)}{self.variant}"

    @property
    def tag(self) -> str:
        """The part of a cell's name: `py314`, `pypy311`, `py314t`, `py314.2`, `py314-alpine`."""
        prefix = "py" if self.implementation == "cpython" else self.implementation
        return prefix + self.version.replace(".", "") + self._rest

    @property
    def image(self) -> str:
        """The official image of this Python; of a free-threaded build, the name that it would have."""
        name = "python" if self.implementation == "cpython" else self.implementation
        return f"{name}:{self.version}{self._rest}{'' if self.variant else '-slim'}"

    @property
    def rank(self) -> tuple[int, bool, str, int]:
        """A key that sorts Pythons as `PYTHONS` does, each plain one before its builds, variants and patch levels."""
        plain = str(Python(self.implementation, self.version))
        return (PYTHONS.index(plain), self.free_threaded, self.variant, -1 if self.patch is None else self.patch)


_PYTHON = r"3\.?(\d{1,2})(?:\.(\d{1,2}))?(t)?(?:-([a-z0-9][a-z0-9._-]*))?"


def parse_python(text: str) -> Python:
    """Read `3.14`, `py314`, `pypy3.11`, `3.14.2`, `3.14t` (free-threaded) or `3.14-alpine` (a variant of the image).

    Raises:
        UsageError: if it is no Python that the matrix knows.
    """
    if not (found := re.fullmatch(rf"(py|pypy|cpython)?-?{_PYTHON}", text.strip().lower())):
        raise _unknown(text)
    implementation, minor = "pypy" if found[1] == "pypy" else "cpython", int(found[2])
    plain = Python(implementation, f"3.{minor}")
    if str(plain) not in PYTHONS:
        raise _unknown(text)
    if found[4] and (implementation != "cpython" or plain.version not in FREE_THREADED):
        raise UsageError(f"Python {text!r}: there are free-threaded builds of CPython from {FREE_THREADED[0]} on")
    if found[5] and (word := _spoken_for(found[5])):
        raise UsageError(f"Python {text!r}: {word!r} cannot be in the name of an image's variant")
    patch = int(found[3]) if found[3] else None
    return Python(implementation, plain.version, patch, bool(found[4]), found[5] or "")


def _unknown(text: str) -> UsageError:
    return UsageError(f"unknown Python {text!r}; there are {', '.join(PYTHONS)}")


def _spoken_for(variant: str) -> str | None:
    """Return the part of a variant's name that means something else in the name of a cell."""
    return next((one for one in variant.split("-") if one in METHODS or re.fullmatch(_SIZE, one)), None)


_SIZE = r"(?:cpu|quota|seen)\d.*"


@dataclass(frozen=True)
class Cell:
    """One place to run in: `cpus` exact CPUs it is pinned to, or a `quota` of CPU time, unpinned.

    `seen` is the number of CPUs that Python is made to count; `None` leaves that to what is there.
    """

    python: Python
    method: str
    cpus: int
    quota: float | None = None
    seen: int | None = None

    @property
    def size(self) -> str:
        """The part of the name after the method: `cpu2`, `quota0.5`, `cpu1-seen8`."""
        size = f"cpu{self.cpus}" if self.quota is None else f"quota{self.quota:g}"
        return size if self.seen is None else f"{size}-seen{self.seen}"

    @property
    def name(self) -> str:
        """The cell's name, such as `py314-spawn-cpu2`, `py314-fork-quota0.5` or `py312-spawn-cpu1-seen8`."""
        return f"{self.python.tag}-{self.method}-{self.size}"

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


REAL = "real"
"""The apparent number of CPUs that is left as it is."""


def parse_seen(text: str) -> int | None:
    """Read an apparent number of CPUs: `8`, `seen8`, or `real` (which gives `None`) for what is there.

    Raises:
        UsageError: if it is neither.
    """
    if text == REAL:
        return None
    number = text.removeprefix("seen")
    if not number.isdecimal() or not 1 <= int(number) <= MAX_CPUS:
        raise UsageError(f"seen CPUs {text!r}: give whole numbers from 1 to {MAX_CPUS}, or real, for example real,8")
    return int(number)


_CELL = re.compile(
    r"(?P<python>[a-z]+\d+(?:\.\d+)?t?(?:-[a-z0-9._-]+?)?)-(?P<method>[a-z]+)"
    r"-(?:cpu(?P<cpus>\d+)|quota(?P<quota>\d+(?:\.\d+)?))(?:-seen(?P<seen>\d+))?"
)


def parse_cell(name: str) -> Cell:
    """Read a cell's name.

    Raises:
        UsageError: if it is not of the form PYTHON-METHOD-cpuN or PYTHON-METHOD-quotaX, perhaps with -seenN at its end.
    """
    if not (found := _CELL.fullmatch(name)):
        raise UsageError(f"{name!r} is no cell's name; they look like py314-spawn-cpu2 or py314-fork-quota0.5")
    python, method = parse_python(found["python"]), parse_method(found["method"])
    seen = parse_seen(found["seen"]) if found["seen"] else None
    if found["cpus"] is not None:
        return Cell(python, method, parse_cpus(found["cpus"]), None, seen)
    if not 0 < (quota := float(found["quota"])) <= MAX_CPUS:
        raise UsageError(f"{name!r}: a quota is more than 0 and at most {MAX_CPUS} CPUs")
    return Cell(python, method, 0, quota, seen)
