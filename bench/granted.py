"""What a cell was granted against what its name asks for: a pure comparison of the facts with the cell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bench.cells import Cell
from bench.record import Facts

QUOTA_TOLERANCE = 0.01
"""How far a granted quota may be from the one asked for, in CPUs: control groups hold it in whole microseconds."""

_ARCHITECTURES: Mapping[str, str] = {
    **dict.fromkeys(("amd64", "x86_64"), "x86_64"),
    **dict.fromkeys(("386", "i386", "i686"), "i386"),
    **dict.fromkeys(("arm64", "aarch64", "arm64v8"), "aarch64"),
    **dict.fromkeys(("armhf", "arm32v5", "arm32v7", "armv7"), "arm"),
    **dict.fromkeys(("ppc64le", "powerpc64le"), "powerpc64le"),
    "s390x": "s390x",
    "riscv64": "riscv64",
}
"""Words in the names of images, each with the architecture as the facts name it."""

_CODENAMES = frozenset({"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "jammy", "noble"})
"""Words that name a release of Debian or Ubuntu."""


def granted_otherwise(facts: Facts, cell: Cell) -> str | None:
    """Return in words how what a cell was granted differs from what it asks for; `None` if it does not."""
    return next(_differences(facts, cell), None)


def _differences(facts: Facts, cell: Cell) -> Iterator[str]:
    if trouble := facts.mismatch():
        yield trouble
    python, found = cell.python, facts.python.split(".")
    patch = None if python.patch is None else str(python.patch)
    if (facts.implementation, ".".join(found[:2])) != (python.implementation, python.version):
        yield f"{facts.implementation} {facts.python} where {python} was asked for"
    elif patch is not None and found[2:] != [patch]:
        yield f"{facts.implementation} {facts.python} where {python.version}.{patch} was asked for"
    yield from _threading(facts, cell)
    yield from _sizes(facts, cell)
    for word in python.variant.split("-"):
        yield from _variant(word, facts)


def _threading(facts: Facts, cell: Cell) -> Iterator[str]:
    free = bool(facts.more.get("free_threaded"))
    if free != cell.python.free_threaded:
        yield f"a {'free-threaded' if free else 'plain'} build where {cell.python} was asked for"
    elif free and facts.more.get("gil") is not False:
        yield "the GIL on from the start (by PYTHON_GIL or -X gil) where it was to be off"


def _sizes(facts: Facts, cell: Cell) -> Iterator[str]:
    quota = facts.more.get("quota")
    if cell.quota is not None and (
        not isinstance(quota, (int, float)) or abs(quota - cell.quota) > max(QUOTA_TOLERANCE, 0.01 * cell.quota)
    ):
        yield f"{'no quota' if quota is None else f'a quota of {quota:g} CPUs'} where {cell.quota:g} was asked for"
    if cell.seen is None:
        return
    seen = facts.more.get("seen")
    counted = seen if isinstance(seen, dict) else {}
    wrong = [
        name for name in ("os", "process", "multiprocessing", "affinity") if counted.get(name) not in (None, cell.seen)
    ]
    if not isinstance(counted.get("os"), int):
        yield f"no apparent number of CPUs where {cell.seen} was asked for"
    elif wrong:
        yield f"{counted[wrong[0]]} CPUs counted ({wrong[0]}) where {cell.seen} were to be seen"


def _variant(word: str, facts: Facts) -> Iterator[str]:
    """Yield what a word in the name of an image's variant says and the facts do not."""
    libc = str(facts.more.get("libc") or "an unknown C library")
    distribution = str(facts.more.get("distribution") or "an unknown distribution")
    if alpine := re.fullmatch(r"alpine(\d+(?:\.\d+)*)?", word):
        if not libc.startswith("musl"):
            yield f"{libc} where {word} (musl) was asked for"
        elif not f"{distribution}.".startswith(f"alpine {alpine[1]}." if alpine[1] else "alpine"):
            yield f"{distribution} where {word} was asked for"
    elif word in _CODENAMES and word not in distribution.split():
        yield f"{distribution} where {word} was asked for"
    elif word in ("musl", "glibc") and not libc.startswith(word):
        yield f"{libc} where {word} was asked for"
    elif word in _ARCHITECTURES and facts.more.get("architecture") != _ARCHITECTURES[word]:
        yield f"architecture {facts.more.get('architecture')} where {word} was asked for"
