"""The project's own settings: `[tool.bench]` of the nearest pyproject.toml. The command line overrides them."""

from __future__ import annotations

import difflib
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.cells import PYTHONS, parse_cpus, parse_method, parse_python, parse_quota
from bench.errors import UsageError
from bench.outcomes import METHODS
from bench.sampling import MODES, Mode, Sampling, parse_modes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENGINES = ("auto", "docker", "local")

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


@dataclass(frozen=True)
class Config:
    """The settings of `[tool.bench]`; a field at its default was not given. Sizes are in bytes, times in seconds.

    `path` is the file that was read, if any; `root`, its folder, is what paths in it are relative to.
    """

    python: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    cpus: tuple[str, ...] = ()
    select: str = ""
    skip: str = ""
    targets: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    timeout: float | None = None
    jobs: int | None = None
    engine: str | None = None
    memory: int | None = None
    pids: int | None = None
    shm: int | None = None
    out: str | None = None
    requirements: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def root(self) -> Path | None:
        """The project's folder; `None` where no configuration was found."""
        return None if self.path is None else self.path.parent


def find_config(start: Path) -> Path | None:
    """Find the nearest pyproject.toml upwards: it marks the project, whether or not it has a `[tool.bench]`."""
    folder = start.resolve()
    return next((one for parent in (folder, *folder.parents) if (one := parent / "pyproject.toml").is_file()), None)


def load_config(start: Path) -> Config:
    """Read the configuration of the project that `start` is in; every default where there is none.

    Raises:
        UsageError: if the file cannot be read, is no TOML, or `[tool.bench]` holds an unknown key or a wrong value.
    """
    path = find_config(start)
    if path is None:
        return Config()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is no valid TOML: {error}") from None
    tool = data.get("tool", {})
    return parse_config(tool.get("bench", {}) if isinstance(tool, dict) else {}, path)


def parse_config(table: object, path: Path) -> Config:
    """Read the table `[tool.bench]` of the file `path`.

    Raises:
        UsageError: if it holds an unknown key or a wrong value; the message names the file and the key.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{path}: tool.bench is {_shown(table)}; make it a table, [tool.bench]")
    for key in table:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(KEYS)}"
            raise UsageError(f"{path}: unknown key {key!r} in [tool.bench]; {hint}")
    found = {key: _read(key, item, path) for key, item in table.items()}
    modes, *bounds = (found.pop(key, None) for key in ("modes", "samples", "seconds", "deadline"))
    return Config(**found, sampling=Sampling(modes or (), *bounds), path=path)


class _Wrong(Exception):
    """A value that a key does not accept; the message names what it accepts."""


def _read(key: str, item: object, path: Path) -> Any:
    try:
        return KEYS[key].read(item)
    except _Wrong as wanted:
        raise UsageError(f"{path}: {key} in [tool.bench] is {_shown(item)}; give {wanted}") from None


def _shown(item: object) -> str:
    text = str(item).lower() if isinstance(item, bool) else repr(item)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _texts(item: object) -> tuple[str, ...]:
    """Read a list of strings, or one string."""
    items = [item] if isinstance(item, str) else item
    if not isinstance(items, list) or not all(isinstance(one, str) and one.strip() for one in items):
        raise _Wrong("a string or a list of strings")
    return tuple(items)


def _entries(item: object) -> tuple[str, ...]:
    """Read a list as the command line takes it (`"3.10,3.14"`), or with one entry each."""
    return tuple(one for text in _texts(item) for one in re.split(r"[\s,]+", text) if one)


def _versions(item: object) -> tuple[str, ...]:
    # TOML reads a bare 3.10 as the number 3.1.
    if any(isinstance(one, float) for one in (item if isinstance(item, list) else [item])):
        raise _Wrong('versions as strings, for example ["3.10", "3.14"]')
    return _checked(_entries(item), parse_python, f"some of {', '.join(PYTHONS)}")


def _methods(item: object) -> tuple[str, ...]:
    return _checked(_entries(item), parse_method, f"some of {', '.join(METHODS)}")


def _sizes(item: object) -> tuple[str, ...]:
    wanted = "numbers of CPUs, for example [1, 2]"
    items = item if isinstance(item, list) else [item]
    if not all(isinstance(one, (int, str)) and not isinstance(one, bool) for one in items):
        raise _Wrong(wanted)
    return _checked(_entries([str(one) for one in items]), _parse_size, wanted)


def _parse_size(text: str) -> float:
    return parse_quota(text) if text.startswith("quota") else parse_cpus(text)


def _checked(entries: tuple[str, ...], parse: Callable[[str], object], wanted: str) -> tuple[str, ...]:
    try:
        for one in entries:
            parse(one)
    except UsageError:
        raise _Wrong(wanted) from None
    return entries


def _patterns(item: object) -> str:
    return " ".join(_texts(item))


def _text(item: object) -> str:
    if not isinstance(item, str) or not item.strip():
        raise _Wrong("a string")
    return item


def _modes(item: object) -> tuple[Mode, ...]:
    try:
        return parse_modes(_texts(item))
    except UsageError:
        raise _Wrong(f"some of {', '.join(MODES)}") from None


def _whole(item: object) -> int:
    if isinstance(item, bool) or not isinstance(item, int) or item < 1:
        raise _Wrong("a whole number from 1 up")
    return item


def _seconds(item: object) -> float:
    if isinstance(item, bool) or not isinstance(item, (int, float)) or not 0 < item < math.inf:
        raise _Wrong("a number of seconds greater than 0")
    return float(item)


def _engine(item: object) -> str:
    if item not in ENGINES:
        raise _Wrong(f"one of {', '.join(ENGINES)}")
    return str(item)


def _bytes(item: object) -> int:
    try:
        return parse_bytes(item) if isinstance(item, str) else _whole(item)
    except (UsageError, _Wrong):
        raise _Wrong('a size such as "512m" or "2g", or a number of bytes') from None


def parse_bytes(text: str) -> int:
    """Read a size such as `64m`, `2g`, `1.5GiB` or `1048576`; the units are powers of 1024.

    Raises:
        UsageError: if it is no size, or less than a byte.
    """
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmg]?)(?:i?b)?", text.strip().lower())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < 1:
        raise UsageError(f"size {text!r}: give for example 512m or 2g")
    return size


@dataclass(frozen=True)
class Key:
    """A key of `[tool.bench]`: what reads its value, and one line on what it is for."""

    read: Callable[[object], Any]
    meaning: str

    @property
    def accepts(self) -> str:
        """The values that the key accepts, in the words of the message about a wrong one."""
        try:
            self.read(object())
        except _Wrong as wanted:
            return str(wanted)
        raise AssertionError("a reader that takes any object")


KEYS: Mapping[str, Key] = {
    "python": Key(_versions, "The Pythons of the matrix. Default: 3.10 to 3.15; `pypy3.11` is there on demand."),
    "method": Key(_methods, "The start methods. Default: fork, spawn, forkserver."),
    "cpus": Key(_sizes, "The numbers of CPUs. Default: 1, 2, 4; a cell that the host cannot grant is `unavailable`."),
    "select": Key(_patterns, "Only cells whose names match one of these patterns."),
    "skip": Key(_patterns, "Leave out the cells whose names match one of these patterns."),
    "targets": Key(_texts, "The targets of `bench matrix` and `bench cell` where the command line names none."),
    "modes": Key(_modes, "How targets are observed. Default: in every mode that a target has."),
    "samples": Key(_whole, "Samples of each target in mode repeat. Default: the target's own number, or 2."),
    "seconds": Key(_seconds, "Seconds of each target in each mode. Default: 0.7 for stress, at most 5 for explore."),
    "deadline": Key(_seconds, "Seconds after which a sample counts as a hang. Default: the target's own, or 20."),
    "timeout": Key(_seconds, "Seconds that a cell may take. Default: 600."),
    "jobs": Key(_whole, "How many cells run at once. Default: as many as fit on the CPUs."),
    "engine": Key(_engine, "Where cells run. Default: auto, which is docker where an engine answers."),
    "memory": Key(_bytes, "The memory of each cell. Default: 2 GiB."),
    "pids": Key(_whole, "How many processes and threads each cell may have. Default: 256."),
    "shm": Key(_bytes, "The size of `/dev/shm` in each cell. Default: 64 MiB."),
    "out": Key(_text, "The folder that records are written to. Default: `bench-runs/TIME-ID`."),
    "requirements": Key(_texts, "What pip installs into the images of the project."),
    "include": Key(
        _texts, "Patterns of the files that are copied into the images. Default: all that git would not ignore."
    ),
    "exclude": Key(_texts, "Patterns of the files that are not copied into the images."),
}
"""Each key of `[tool.bench]`; the reference in the documents is made from these."""
