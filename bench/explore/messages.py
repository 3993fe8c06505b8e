"""What crosses between mode explore and the exploring process."""

from __future__ import annotations

from typing import NamedTuple

from bench.process import messages

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    from bench.outcomes import Kind


class Orders(NamedTuple):
    """What an exploration is to do.

    Attributes:
        actors: those of a scenario; a program has none.
        limit: steps after which a schedule is given up.
        deadline_s: how long nothing may move.
        strategy: which interleavings, and in which order.
        preemptions: the most of a schedule; `None` sets no bound.
        schedules: the most of them; `None` sets no bound.
        seconds: the longest time; `None` sets no bound.
        kills: how many processes may be killed in a schedule.
        grades_kills: whether all outcomes after a kill are graded; else only deadlocks and livelocks are.
        tolerates: signals by which processes other than the main one may end; empty for any bad end.
        items: whether what is left in queues and pipes is an outcome.
        audited: whether a claim of completeness is audited.
        replay: a schedule and `times`, as `bench.explore.findings.following.follow` takes them; then no other is run.
    """

    root: str
    module: str
    name: str
    method: str
    seed: int
    actors: tuple[str, ...]
    limit: int
    deadline_s: float
    strategy: str = "portfolio"
    preemptions: int | None = None
    schedules: int | None = None
    seconds: float | None = None
    kills: int = 0
    grades_kills: bool = False
    items: bool = False
    replay: Mapping[str, Any] | None = None
    tolerates: tuple[str, ...] = ()
    audited: bool = True


class NewOutcome(NamedTuple):
    """An outcome came for the first time; other events refer to it by `number`."""

    number: int
    kind: Kind
    value: Any
    detail: Mapping[str, Any]


class Counts(NamedTuple):
    """How often outcomes have come so far, by their numbers, in how many schedules and steps."""

    counts: Mapping[int, int]
    schedules: int
    steps: int


class Anew(NamedTuple):
    """The exploration begins anew: what was journalled so far does not count."""


class Witness(NamedTuple):
    """The shrunk schedule of an outcome, as `bench.explore.findings.schedule.witness` makes it."""

    number: int
    witness: Mapping[str, Any]


class Figures(NamedTuple):
    """What is known of an exploration beside its outcomes; of one that was given up only `schedules` and `steps`.

    Attributes:
        seconds: how long it took, shrinking left out.
        strategy: its name; `None` if the exploration was given up.
        complete: whether all is seen that the claim says.
        claim: what a strategy says of the schedules that were run.
        points: how many different operations there were.
        rebuilt: how many times a state was made anew, and why.
        uncontrolled: what was done past the scheduling points.
        differed: how a schedule went on differently when repeated; empty if none did.
        asleep: schedules that were left off, since what follows was seen.
        limits: what kept schedules from their ends.
        audit: how many schedules were audited, what was named there, and why there was no audit, or less of one.
        left: the queues and pipes of the state that were not empty at the end of a schedule.
    """

    schedules: int = 0
    steps: int = 0
    seconds: float = 0.0
    strategy: str | None = None
    complete: bool = False
    claim: str | None = None
    points: int = 0
    rebuilt: int = 0
    why_rebuilt: str = ""
    uncontrolled: Sequence[str] = ()
    differed: str = ""
    asleep: int = 0
    limits: Sequence[str] = ()
    audit: Mapping[str, Any] | None = None
    left: Sequence[str] = ()


class Replay(NamedTuple):
    """What became of a schedule that was to be replayed: see `bench.explore.findings.following.follow`.

    `outcome` is the key of that of a last run, which `witness` shows; `uncontrolled` is as in `Figures`.
    """

    lanes: Sequence[int]
    counts: Mapping[str, int]
    notes: Sequence[str]
    divergence: str
    outcome: str
    witness: Mapping[str, Any]
    uncontrolled: Sequence[str]


if TYPE_CHECKING:
    Event: TypeAlias = messages.Common | NewOutcome | Counts | Anew | Witness | Figures | Replay

_KINDS: Mapping[str, Callable[..., Event]] = messages.by_name(
    *messages.COMMON, NewOutcome, Counts, Anew, Witness, Figures, Replay
)


def from_fields(fields: Mapping[str, Any]) -> Event:
    """Return the event that a line of an exploration's journal has."""
    event: Event = messages.from_fields(fields, _KINDS)
    return event
