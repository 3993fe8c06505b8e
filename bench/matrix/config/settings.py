"""The settings of `[tool.bench]` as the commands use them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.cells import parse_python
from bench.errors import UsageError
from bench.matrix.config.checking import check
from bench.matrix.config.values import entries, parse_bytes
from bench.matrix.rules import Own, Rule, Rules
from bench.sampling import Sampling, parse_modes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENGINES = ("auto", "docker", "local")


@dataclass(frozen=True)
class Config:
    """The settings of `[tool.bench]`; a field at its default was not given. Sizes are in bytes, times in seconds.

    `path` is the file that was read, if any; `root`, its folder, is what paths in it are relative to.
    """

    python: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    cpus: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    select: str = ""
    skip: str = ""
    targets: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    timeout: float | None = None
    test_timeout: float | None = None
    strict_leaks: bool = False
    jobs: int | None = None
    engine: str | None = None
    memory: int | None = None
    pids: int | None = None
    shm: int | None = None
    out: str | None = None
    requirements: tuple[str, ...] | None = None
    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    install: str = ""
    wheels: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    cells: tuple[Rule, ...] = ()
    path: Path | None = None

    @property
    def rules(self) -> Rules:
        """The rules for some of the cells."""
        return Rules(self.cells, " ".join(self.required))

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
    given = check(table, path)
    found = {name: READERS[name](item) if name in READERS else item for name, item in given.items()}
    modes, *bounds = (found.pop(key, None) for key in ("modes", "samples", "seconds", "deadline"))
    return Config(**found, sampling=Sampling(modes or (), *bounds), path=path)


def _texts(item: Any) -> tuple[str, ...]:
    return (item,) if isinstance(item, str) else tuple(item)


def _entries(item: Any) -> tuple[str, ...]:
    return tuple(one for text in (item if isinstance(item, list) else [item]) for one in entries(str(text)))


def _patterns(item: Any) -> str:
    return " ".join(_texts(item))


def _bytes(item: Any) -> int:
    return parse_bytes(item) if isinstance(item, str) else int(item)


def _rules(item: Any) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            _patterns(one["match"]),
            one.get("run"),
            one.get("reason", ""),
            Own(
                one.get("timeout"),
                _bytes(one["memory"]) if "memory" in one else None,
                _bytes(one["shm"]) if "shm" in one else None,
                one.get("pids"),
                one.get("environment", {}),
            ),
        )
        for one in item
    )


READERS: Mapping[str, Callable[[Any], Any]] = {
    "python": _entries,
    "method": _entries,
    "cpus": _entries,
    "seen": _entries,
    "images": lambda item: {str(parse_python(name)): str(image) for name, image in item.items()},
    "select": _patterns,
    "skip": _patterns,
    "targets": _texts,
    "modes": lambda item: parse_modes(_texts(item)),
    "samples": int,
    "seconds": float,
    "deadline": float,
    "timeout": float,
    "test_timeout": float,
    "jobs": int,
    "memory": _bytes,
    "pids": int,
    "shm": _bytes,
    "requirements": _texts,
    "required": _texts,
    "cells": _rules,
    "extras": _texts,
    "groups": _texts,
    "include": _texts,
    "exclude": _texts,
}
"""What makes a key's value, once it is known to be of the schema, the value of the field; others stay as they are."""
