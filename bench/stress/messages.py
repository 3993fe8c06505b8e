"""What crosses between mode stress and the main process of a fork group."""

from __future__ import annotations

from typing import NamedTuple

from bench.process import messages

TYPE_CHECKING = False  # as type checkers know it: each group imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    from bench.outcomes import Kind


class Orders(NamedTuple):
    """What a group is to do.

    `samples` bounds their number, `None` not at all. `deadline_s` is how long no actor may get through a stride.
    `cpus` is how many CPUs the actors have, `size` how many states the first batch goes through. `afresh` says why each
    sample has a main process, a state and actors of its own; empty if they do not need to. A `trial` tells the outcome
    of each sample in turn, and goes through `size` states again and again. `items` says whether what is left in queues
    and pipes is an outcome.
    """

    root: str
    module: str
    name: str
    method: str
    seed: int
    actors: tuple[str, ...]
    cpus: int
    seconds: float
    samples: int | None
    deadline_s: float
    size: int
    afresh: str = ""
    trial: bool = False
    items: bool = False


class Started(NamedTuple):
    """An actor was started."""

    child: int
    name: str


class Counts(NamedTuple):
    """What was counted since the last of these.

    `values` are recorded values with their counts, `others` kinds and details of other outcomes with theirs. Of the
    samples, `rebuilt` had states made anew, `stamped` were timed and `overlapped` of those overlapped. They took
    `running_ns` in all. `stalled` if nothing has moved for a while; then `lost` is how many samples at most are not
    counted if the group ends here, and `raised` what actors raised in the stride that they are in, by actor and number
    (see `HadRaised`). `left` are the queues and pipes that were not empty at the end of a sample.
    """

    values: Sequence[tuple[Any, int]]
    others: Sequence[tuple[Kind, Mapping[str, Any], int]]
    samples: int
    rebuilt: int
    stamped: int
    overlapped: int
    lost: int
    running_ns: int
    why_rebuilt: str
    size: int
    stalled: bool
    left: Sequence[str] = ()
    raised: Sequence[tuple[str, int]] = ()


class Taken(NamedTuple):
    """Samples of a trial, in their order: kind, recorded value and detail of each outcome."""

    outcomes: Sequence[tuple[Kind, Any, Mapping[str, Any]]]


class Died(NamedTuple):
    """An actor's process ended before it was told to."""

    name: str
    code: int | None


if TYPE_CHECKING:
    Event: TypeAlias = messages.Common | Started | Counts | Taken | Died

_KINDS: Mapping[str, Callable[..., Event]] = messages.by_name(*messages.COMMON, Started, Counts, Taken, Died)


def from_fields(fields: Mapping[str, Any]) -> Event:
    """Return the event that a line of a group's journal has."""
    event: Event = messages.from_fields(fields, _KINDS)
    return event
