"""Whether this process is controlled right now, and its registry of shared objects.

A scheduling point reads `active` on each operation: it is a global of this module, since reading one takes 30 ns and a
call takes 100.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.explore.runtime.lane import Runtime
    from bench.explore.runtime.registry import Registry


class Abandoned(BaseException):
    """The schedule is given up; raised at a point, it passes through the user's code and ends it."""


active: Runtime | None = None
"""The runtime of this process while it is controlled; `None` in raw blocks and outside an exploration."""

begun = False
"""Whether this process has taken part in a schedule."""

unpickling = False
"""Whether this process unpickles what it was given at its start, under audit: then points are passed, and no steps."""

registry: Registry | None = None
"""The numbers of objects that this process knows, if it is one of an exploration's, controlled or not."""


on_finer: list[Callable[[], None]] = []
"""Called where the steps on an object have become finer, as a schedule begins: to forget how coarse they were."""


def activate(runtime: Runtime | None) -> None:
    """Set the runtime that controls this process; `None` for none."""
    global active  # noqa: PLW0603  # there is one for the process
    active = runtime


def use_registry(used: Registry) -> None:
    """Register what this process makes from now on in the name of a lane, or of the exploring process."""
    global registry  # noqa: PLW0603  # there is one for the process
    registry = used


class Raw:
    """A block in which instrumented operations have no points: they are the real operations themselves."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = active
        activate(None)

    def __exit__(self, *_: object) -> None:
        activate(self._before)
