"""Starts of processes: how many there were in a cell under one start method, and what they took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.values import Json


@dataclass(frozen=True)
class Starts:
    """Processes that `multiprocessing` started in a cell under one start method.

    `seconds` passed, added up over all, from the parent's call of `start` to the child's first line of the program's
    own, and with what it imported later; `up_s` of them until the child's interpreter was up. `imports` are those of
    children with interpreters of their own, by package: how many processes imported it, and the seconds that it took
    them. What a package imports of the standard library is its own.
    """

    cell: str
    method: str
    count: int
    seconds: float
    up_s: float
    imports: Mapping[str, tuple[int, float]]


def to_json(line: Starts) -> dict[str, Json]:
    """Return the JSON object of a line, without its version."""
    imports: list[Json] = [
        {"package": package, "count": count, "seconds": seconds} for package, (count, seconds) in line.imports.items()
    ]
    return {
        "type": "starts",
        "cell": line.cell,
        "method": line.method,
        "count": line.count,
        "seconds": line.seconds,
        "up_s": line.up_s,
        "imports": imports,
    }


def from_json(data: Mapping[str, Any]) -> Starts:
    """Read the line back."""
    imports = {one["package"]: (one["count"], one["seconds"]) for one in data.get("imports", ())}
    return Starts(data["cell"], data["method"], data["count"], data["seconds"], data["up_s"], imports)


def added(lines: Iterable[Starts]) -> dict[str, Starts]:
    """Return the starts of one cell, added up, by start method."""
    found: dict[str, Starts] = {}
    for line in lines:
        before = found.get(line.method, Starts(line.cell, line.method, 0, 0.0, 0.0, {}))
        imports = dict(before.imports)
        for package, (count, seconds) in line.imports.items():
            counted, took = imports.get(package, (0, 0.0))
            imports[package] = (counted + count, round(took + seconds, 6))
        found[line.method] = Starts(
            line.cell,
            line.method,
            before.count + line.count,
            round(before.seconds + line.seconds, 6),
            round(before.up_s + line.up_s, 6),
            imports,
        )
    return found
