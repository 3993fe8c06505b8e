"""What the numbers of a trace are called: lanes, lines, and shared objects by the attributes of the state."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from bench.explore.runtime.board import Board


class Labels:
    """What the numbers of a trace stand for, in words; empty where one stands for nothing."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.sizes: Mapping[int, int] = {}
        """The bytes of an item of each array among the objects, by number."""

    def part(self, number: int, part: int) -> int:
        """Return a part of an object as the user knows it: of an array the index of the item that begins there."""
        size = self.sizes.get(number, 1)
        return part // size if part > 0 and not part % size else part

    def lane(self, number: int) -> str:
        """Return the name of a lane."""
        return self._board.name(number) if 0 <= number < self._board.named_lanes else ""

    def object(self, number: int) -> str:
        """Return the label of an object."""
        return self._board.object_label(number) if 0 < number < self._board.objects else ""

    def place(self, number: int) -> str:
        """Return a place as `file:line`."""
        return self._board.place(number) if number > 0 else ""


_DEEPEST = 3
"""How many containers or objects deep in an attribute of the state shared objects are looked for."""


def label_objects(state: Any, board: Board) -> dict[int, int]:
    """Label shared objects by the attributes of the state; return the bytes of an item of each array among them."""
    found: dict[int, str] = {}
    sizes: dict[int, int] = {}
    for name, item in getattr(state, "__dict__", {}).items():
        _label_item(name, item, found, _DEEPEST, sizes)
    for number, name in found.items():
        board.label_object(number, name)
    return sizes


def _item_size(item: Any) -> int:
    """Return the bytes of an item of an array of plain numbers; 0 for anything else."""
    kind = type(getattr(item, "_obj", item))
    inner = getattr(kind, "_type_", None)
    if not hasattr(kind, "_length_") or hasattr(inner, "_length_") or hasattr(inner, "_fields_"):
        return 0
    return int(sys.modules["ctypes"].sizeof(inner))


def _label_item(name: str, item: Any, found: dict[int, str], deep: int, sizes: dict[int, int]) -> None:
    parts = getattr(item, "__dict__", {})
    fact = parts.get("_bench_object")
    if fact is not None:
        found[fact.number] = min(found.get(fact.number, name), name, key=len)
        if size := _item_size(item):
            sizes[fact.number] = size
    elif isinstance(item, (list, tuple)) and deep:
        for index, inner in enumerate(item):
            _label_item(f"{name}[{index}]", inner, found, deep - 1, sizes)
    elif isinstance(item, dict) and deep:
        for key, inner in item.items():
            _label_item(f"{name}[{key!r}]", inner, found, deep - 1, sizes)
    elif deep:
        _label_parts(name, item, found, deep, sizes)


_OWN = {
    "_obj": "{}",
    "_bench_memory": "{}",
    "_lock": "the lock of {}",
    "_flag": "{}",
    "_cond": "the condition of {}",
    "_wait_semaphore": "a wake-up by {}",
    "_woken_count": "the woken of {}",
    "_sleeping_count": "the sleepers of {}",
    "_reader": "{}",
    "_rlock": "the lock on getting from {}",
    "_wlock": "the lock on putting into {}",
    "_sem": "the room in {}",
    "_unfinished_tasks": "the tasks of {}",
}


def _label_parts(name: str, item: Any, found: dict[int, str], deep: int, sizes: dict[int, int]) -> None:
    module = type(item).__module__
    parts = getattr(item, "__dict__", {})
    if module.startswith("multiprocessing."):
        for part, text in _OWN.items():
            if part in parts:
                _label_item(text.format(name), parts[part], found, deep, sizes)
    elif module.partition(".")[0] not in sys.stdlib_module_names:
        for part, inner in parts.items():
            _label_item(f"{name}.{part}", inner, found, deep - 1, sizes)
