"""Names of semaphores and segments of shared memory that a sample has made, as its journal has them."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as type checkers know it: each exploration of a program imports this

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_KINDS = ("semaphore", "shared_memory")


def shared_names(events: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return kind (`semaphore` or `shared_memory`) and name of each that was made, whether or not it is still there."""
    named = [(event["type"], event["name"]) for event in events if event["event"] == "named"]
    return list(dict.fromkeys(one for one in named if one[0] in _KINDS))


def path_of(kind: str, name: str) -> str:
    """Return the file that stands for a name on Linux, see shm_overview(7) and sem_overview(7)."""
    stem = name.lstrip("/")
    return os.path.join("/dev/shm", f"sem.{stem}" if kind == "semaphore" else stem)


def names_left(names: Iterable[tuple[str, str]], kind: str) -> list[str]:
    """Return the names of a kind that are still there."""
    return [name for of, name in names if of == kind and os.path.exists(path_of(of, name))]
