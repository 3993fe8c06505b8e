"""What samples change in the memory of one process: restored where it belongs to a state, else seen to change.

Attributes and containers of a state are set back. Globals and attributes of classes are not: a change of theirs is
named, and the caller then gives each sample a process of its own.
"""

from __future__ import annotations

import os
import sys
from operator import is_

from bench.process.descriptors import open_descriptors
from bench.state import folders
from bench.state.survey import survey

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_MISSING = object()

_SMALL = 1_000
"""Items of a container in a global, up to which it is compared."""


class Globals:
    """Sees attributes of classes and globals of their modules change: which object a name has, and small containers.

    Names with two underscores at both ends are not looked at: Python itself sets some.
    """

    def __init__(self, kind: type) -> None:
        kinds = [one for one in kind.__mro__ if one.__module__.partition(".")[0] not in sys.stdlib_module_names]
        modules = {one.__module__: sys.modules[one.__module__] for one in kinds if one.__module__ in sys.modules}
        self._spaces: list[tuple[str, Any]] = [(f"{one.__qualname__}.", vars(one)) for one in kinds]
        self._spaces += [(f"{name}.", vars(module)) for name, module in modules.items()]
        self._values: list[list[object]] = []
        self._names: list[list[str]] = []
        self._containers: list[tuple[str, Any, Any]] = []
        self._note()

    def _note(self) -> None:
        self._values = [list(space.values()) for _, space in self._spaces]
        self._names = [list(space) for _, space in self._spaces]
        self._containers = [
            (label + name, item, item.copy())
            for label, space in self._spaces
            for name, item in space.items()
            if type(item) in (list, dict, set) and len(item) <= _SMALL and not _is_pythons_own(name)
        ]

    def changed(self) -> str:
        """Return the name of something that has changed since the last call; empty if nothing has."""
        # An actor calls this once a batch: values are compared by identity, and names only where a value differs.
        for number, (label, space) in enumerate(self._spaces):
            before = self._values[number]
            if len(space) == len(before) and all(map(is_, space.values(), before)):
                continue
            found = self._differing(label, space, dict(zip(self._names[number], before, strict=True)))
            self._note()
            if found:
                return found
        for name, item, copy in self._containers:
            if not _equal(item, copy):
                self._note()
                return name
        return ""

    def _differing(self, label: str, now: Any, before: dict[str, object]) -> str:
        names = (name for name in {**before, **now} if not _is_pythons_own(name))
        return next((label + name for name in names if now.get(name, _MISSING) is not before.get(name, _MISSING)), "")


def _equal(item: object, copy: object) -> bool:
    try:
        return bool(item == copy)
    except Exception:  # noqa: BLE001  # of what the container holds: arrays, for one, have no single answer
        return False


def _is_pythons_own(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


class Watch:
    """Records attributes that are set, and containers that change, in this process's own copies of the states.

    Invariant: `_written` holds, oldest first, what each attribute was before it was set; undone newest first, the
    oldest record of an attribute is the last to be written, which is its value before the batch.
    """

    def __init__(self, states: Sequence[object]) -> None:
        parts = [survey(state) for state in states]
        self._globals = Globals(type(states[0])) if states else None
        self._folders = {folder for each in parts for _, folder in each.folders}
        self._written: list[tuple[Any, str, Any]] = []
        self._containers = [(one, one.copy()) for each in parts for one in each.containers]
        for kind in {type(owner) for each in parts for owner in each.owners}:
            self._patch(kind)

    def _patch(self, kind: type) -> None:
        written = self._written

        def setting(owner: Any, name: str, value: Any) -> None:
            written.append((owner, name, vars(owner).get(name, _MISSING)))
            object.__setattr__(owner, name, value)

        def deleting(owner: Any, name: str) -> None:
            written.append((owner, name, vars(owner).get(name, _MISSING)))
            object.__delattr__(owner, name)

        setting.watches = True  # type: ignore[attr-defined]  # a mark on a function
        kind.__setattr__ = setting  # type: ignore[assignment]  # a patch, of a class that has none of its own
        kind.__delattr__ = deleting  # type: ignore[assignment]  # as above

    def undo(self) -> str:
        """Set back what was set and what changed; return the name of a change that cannot be undone, or nothing."""
        for owner, name, before in reversed(self._written):
            if before is _MISSING:
                vars(owner).pop(name, None)
            else:
                vars(owner)[name] = before
        self._written.clear()
        for one, copy in self._containers:
            if one != copy:
                _refill(one, copy)
        if self._folders and (inside := folders.first_containing(open_descriptors().values(), self._folders)):
            return f"a file open in {os.path.basename(inside)}"
        return self._globals.changed() if self._globals else ""


def _refill(container: Any, copy: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(copy)
    else:
        container.update(copy)
