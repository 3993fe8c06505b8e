"""What crosses between an observer and the main process of its group: orders one way, events the other.

Orders are one argument of the command line, events lines of the group's journal; both are Python literals, see
`bench.process.journal`. Each mode has its own `messages` beside these, which all have in common. They are named tuples
since a group imports them: making the class of a frozen dataclass takes seven times as long.
"""

from __future__ import annotations

from typing import NamedTuple

from bench.process import journal

TYPE_CHECKING = False  # as type checkers know it, see above

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias, TypeVar

    from bench.outcomes import Kind

    T = TypeVar("T", bound=tuple[Any, ...])


class Starting(NamedTuple):
    """Processes are being started, which may take longer than the deadline; until `Running`."""


class Running(NamedTuple):
    """All processes are there, with so many states."""

    states: int = 1


class Refused(NamedTuple):
    """The target cannot be run as it is; the message says why."""

    message: str


class Failed(NamedTuple):
    """The main process raised outside of any sample; the fields are those of `bench.process.instrument.describe`."""

    type: str
    bases: Sequence[str]
    message: str
    where: str | None
    traceback: str


class HadRaised(NamedTuple):
    """A process raised something, of which its group tells only when it is through with what it is at.

    `number` is what the process calls it from then on. Of what it raises again and again it tells once.
    """

    name: str
    number: int
    kind: Kind
    detail: Mapping[str, Any]


class Over(NamedTuple):
    """The main process has said all that it has to say."""


COMMON = (Starting, Running, Refused, Failed, HadRaised, Over)

if TYPE_CHECKING:
    Common: TypeAlias = Starting | Running | Refused | Failed | HadRaised | Over


def by_name(*kinds: Any) -> dict[str, Any]:
    """Return kinds of events by the names that they have in a journal."""
    return {kind.__name__.lower(): kind for kind in kinds}


def to_fields(event: Any) -> dict[str, Any]:
    """Return an event as the fields of a line of a journal."""
    return {"event": type(event).__name__.lower(), **event._asdict()}


def send(folder: str, event: Any) -> None:
    """Append an event to the journal of a group."""
    journal.append(folder, **to_fields(event))


def from_fields(fields: Mapping[str, Any], kinds: Mapping[str, Any]) -> Any:
    """Return the event that a line of a journal has, which is one of `kinds`."""
    return kinds[fields["event"]](**{name: item for name, item in fields.items() if name not in ("event", "pid")})


def to_argument(orders: Any) -> str:
    """Return orders, a named tuple of plain values, as an argument of a command."""
    return repr(orders._asdict())


def from_argument(text: str, kind: type[T]) -> T:
    """Return the orders that an argument holds."""
    import ast

    return kind(**ast.literal_eval(text))
