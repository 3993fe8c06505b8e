from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.cells import parse_cell
from bench.granted import granted_otherwise
from bench.record import Facts

PLAIN = {"libc": "glibc 2.41", "architecture": "x86_64", "distribution": "debian 13 trixie", "quota": None}


def facts(name: str, **more: Any) -> Facts:
    """The facts of a cell that was granted all that its name asks for, but for `more`."""
    cell = parse_cell(name)
    pinned = cell.quota is None
    cpus = tuple(range(cell.cpus)) if pinned else (0, 1)
    version = f"{cell.python.version}.{4 if cell.python.patch is None else cell.python.patch}"
    asked = cell.cpus if pinned else None
    free = {"free_threaded": True, "gil": False} if cell.python.free_threaded else {}
    return Facts(
        name,
        version,
        cell.python.implementation,
        cell.method,
        cell.method,
        asked,
        cpus,
        2,
        None,
        len(cpus),
        "docker",
        7,
        {**PLAIN, **free, **more},
    )


def otherwise(name: str, **more: Any) -> str | None:
    return granted_otherwise(facts(name, **more), parse_cell(name))


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("py314-spawn-cpu2", {}),
        ("pypy311-fork-cpu1", {}),
        ("py314.2-fork-cpu1", {}),
        ("py314t-fork-cpu1", {}),
        ("py314-slim-trixie-fork-cpu1", {}),
        ("py314-alpine-fork-cpu1", {"libc": "musl", "distribution": "alpine 3.20.1"}),
        ("py314-alpine3.20-fork-cpu1", {"libc": "musl", "distribution": "alpine 3.20.1"}),
        ("py311-i386-bookworm-fork-cpu1", {"architecture": "i386", "distribution": "debian 12 bookworm"}),
        ("py314-anything-fork-cpu1", {}),
        ("py314-fork-quota0.5", {"quota": 0.5}),
        ("py314-fork-quota0.333", {"quota": 0.33}),
        ("py312-fork-cpu1-seen8", {"seen": {"asked": 8, "by": "shim", "os": 8, "process": None, "multiprocessing": 8}}),
    ],
)
def test_what_was_asked_for_and_granted_is_no_mismatch(name: str, more: dict[str, Any]) -> None:
    assert otherwise(name, **more) is None


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("py314t-fork-cpu1", {"free_threaded": False}, "a plain build where 3.14t was asked for"),
        ("py314t-fork-cpu1", {"gil": True}, "the GIL on from the start"),
        ("py314t-fork-cpu1", {"gil": None}, "the GIL on from the start"),
        ("py314-fork-cpu1", {"free_threaded": True, "gil": False}, "a free-threaded build where 3.14 was asked for"),
        ("py314-alpine-fork-cpu1", {}, "glibc 2.41 where alpine (musl) was asked for"),
        ("py314-alpine3.2-fork-cpu1", {"libc": "musl", "distribution": "alpine 3.20"}, "where alpine3.2 was asked"),
        ("py314-bookworm-fork-cpu1", {}, "debian 13 trixie where bookworm was asked for"),
        ("py314-bookworm-fork-cpu1", {"distribution": None}, "an unknown distribution where bookworm"),
        ("py314-i386-fork-cpu1", {}, "architecture x86_64 where i386 was asked for"),
        ("py314-musl-fork-cpu1", {"libc": None}, "an unknown C library where musl was asked for"),
        ("py314-fork-quota0.5", {}, "no quota where 0.5 was asked for"),
        ("py314-fork-quota0.5", {"quota": 1.0}, "a quota of 1 CPUs where 0.5 was asked for"),
        ("py312-fork-cpu1-seen8", {}, "no apparent number of CPUs where 8 was asked for"),
        ("py313-fork-cpu1-seen8", {"seen": {"os": 8, "process": 2}}, "2 CPUs counted (process) where 8"),
        ("py312-fork-cpu1-seen8", {"seen": {"os": 2, "affinity": 1}}, "2 CPUs counted (os) where 8"),
    ],
)
def test_what_was_not_granted_is_named(name: str, more: dict[str, Any], said: str) -> None:
    assert said in (otherwise(name, **more) or "")


def test_another_patch_level_implementation_or_method_is_named() -> None:
    cell = parse_cell("py314.2-spawn-cpu1")
    granted = facts("py314.2-spawn-cpu1")
    assert granted_otherwise(replace(granted, python="3.14.3"), cell) == "cpython 3.14.3 where 3.14.2 was asked for"
    assert granted_otherwise(replace(granted, python="3.14.20"), cell) is not None
    assert granted_otherwise(replace(granted, python="3.13.2"), cell) == "cpython 3.13.2 where 3.14.2 was asked for"
    assert "start method fork" in (granted_otherwise(replace(granted, method_granted="fork"), cell) or "")
    assert "2 usable CPUs" in (granted_otherwise(replace(granted, cpus_usable=2), cell) or "")
