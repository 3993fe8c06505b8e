"""Which lane takes the next step: the one that the plan dictates; after that, the one that its policy chooses.

Functions of the board's numbers, run by the process that has the baton. What they choose depends on these numbers alone
(the state of the generator of `random` is one of them), so that it makes no difference which process decides, and the
same plan gives the same schedule.
"""

from __future__ import annotations

from bench.explore.runtime import layout as at
from bench.explore.runtime.packing import KILLED_WORD, READ, words_dependent

OVER = -1000
"""No lane is next: the schedule has ended."""

LOOK_OUTSIDE = -1001
"""No lane can take its step, but one waits for something that is no lane, and may come in real time."""

PROBE_FIRST = 1000
"""Added to a lane: no lane can be chosen before that one has probed what it waits for."""

_FIRST_COME = memoryview(bytes([at.FIRST_COME]) * at.MOST_STEPS).cast("b")

_TICK_NS = 1_000_000
_NEAR_NS = 20_000
"""Deadlines so close to each other pass together: which of two such waits ends first is a choice."""

_LAST_TICK_NS = 10**15
"""Where all lanes only read the clock again and again, it advances by steps that double, for about 12 days."""


def decide(numbers: memoryview, plan: memoryview) -> int:  # noqa: PLR0911  # each is another end
    """Choose the next step, and log it as taken.

    A step is chosen only if it can be carried out without blocking. `ENABLED` says so, but of a lane that waits for
    something outside the board (a pipe, a lock on a file) only its own process can say it, by a probe. Once something
    has happened to such a thing, its lanes are `DIRTY` and probe before anything else is decided. So choices never
    depend on how fast the system is.

    Returns:
        The lane that takes it; `model.killing(lane)` if that lane shall be killed; `PROBE_FIRST` + a lane; `OVER`;
        `LOOK_OUTSIDE`.
    """
    if numbers[at.DIRTY]:
        return PROBE_FIRST + _lowest(numbers[at.DIRTY])
    able = _able(numbers)
    if able == LOOK_OUTSIDE:
        return able
    if able <= 0:
        return _end(numbers, at.OVER_LIMIT if able else at.STUCK if numbers[at.PRESENT] else at.DONE)
    step = numbers[at.STEPS]
    if step >= numbers[at.LIMIT]:
        return _end(numbers, at.OVER_LIMIT)
    if step < numbers[at.PLANNED]:
        chosen: int = plan[step]
        if chosen < 0:
            return chosen if _kill(numbers, -1 - chosen, step, able) else _end(numbers, at.DIVERGED)
        if not able >> chosen & 1:
            return _end(numbers, at.DIVERGED)
    elif (awake := able & ~numbers[at.ASLEEP]) == 0:
        return _end(numbers, at.ALL_ASLEEP)
    else:
        chosen = _choose(numbers, awake, step)
    _take(numbers, plan, chosen, step, able)
    return chosen


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _end(numbers: memoryview, how: int) -> int:
    numbers[at.END] = how
    return OVER


def _able(numbers: memoryview) -> int:
    """Return the lanes that can take their steps; -1 if all that can would only read the same again; `LOOK_OUTSIDE`.

    A lane that yields comes only after all others, as by itself it gets nowhere (a fair schedule: Musuvathi and Qadeer,
    Fair Stateless Model Checking, PLDI 2008). Where no other is left, time passes to the next deadline; where there is
    none, the schedule is a livelock.
    """
    able: int = numbers[at.ENABLED]
    while not able or not able & ~numbers[at.YIELDING]:
        if numbers[at.OUTSIDERS] and numbers[at.PROBING] and numbers[at.PATIENCE] >= 0:
            return LOOK_OUTSIDE
        if not _pass_time(numbers, ticking=bool(able)):
            return -1 if able else 0
        able = numbers[at.ENABLED]
    return able & ~numbers[at.YIELDING]


def _pass_time(numbers: memoryview, *, ticking: bool) -> bool:
    """Advance the clock to the next deadline; return whether there was any.

    Args:
        ticking: whether the clock may also advance without one, as lanes read it again and again.
    """
    timed: int = numbers[at.TIMED]
    now = numbers[at.CLOCK]
    if not timed:
        if not ticking or not numbers[at.CLOCK_READ] or now > _LAST_TICK_NS:
            return False
        numbers[at.CLOCK] = now + max(now, _TICK_NS)
        numbers[at.YIELDING] = 0
        return True
    lanes = [lane for lane in range(at.MOST_LANES) if timed >> lane & 1]
    deadlines = [numbers[at.LANES + lane * at.LANE + at.DEADLINE] for lane in lanes]
    near = max(now, min(deadlines)) + _NEAR_NS
    numbers[at.CLOCK] = max(now, *(one for one in deadlines if one <= near))
    for lane, deadline in zip(lanes, deadlines):  # noqa: B905  # Python 3.10 has strict, both are equal
        if deadline <= near:
            numbers[at.LANES + lane * at.LANE + at.TIMED_OUT] = 1
            numbers[at.TIMED] &= ~(1 << lane)
            numbers[at.ENABLED] |= 1 << lane
    return True


def _choose(numbers: memoryview, able: int, step: int) -> int:
    policy = numbers[at.POLICY]
    last = numbers[at.LOG + 2 * step - 2] & 31 if step else -1
    if policy == 1:
        return _any_of(numbers, able)
    if policy == 2:
        return _most_urgent(numbers, able, step, last)
    return last if step and able >> last & 1 else _lowest(able)


def _any_of(numbers: memoryview, able: int) -> int:
    # The multiplier is that of Knuth's MMIX; of its states the upper bits are the random ones.
    state = (numbers[at.RANDOM] * 6364136223846793005 + 1442695040888963407) & ((1 << 63) - 1)
    numbers[at.RANDOM] = state
    index = (state >> 32) % able.bit_count() if hasattr(able, "bit_count") else (state >> 32) % bin(able).count("1")
    for _ in range(index):
        able &= able - 1
    return _lowest(able)


def _most_urgent(numbers: memoryview, able: int, step: int, last: int) -> int:
    if last >= 0 and step in numbers[at.CHANGES + 1 : at.CHANGES + 1 + numbers[at.CHANGES]].tolist():
        numbers[at.LOWEST] -= 1
        numbers[at.LANES + last * at.LANE + at.PRIORITY] = numbers[at.LOWEST]
    return max(
        (lane for lane in range(at.MOST_LANES) if able >> lane & 1),
        key=lambda lane: (numbers[at.LANES + lane * at.LANE + at.PRIORITY], -lane),
    )


def _take(numbers: memoryview, plan: memoryview, chosen: int, step: int, able: int) -> None:
    slot, others = at.LANES + chosen * at.LANE, ~(1 << chosen)
    word, wants = numbers[slot + at.WORD], numbers[slot + at.WANTS]
    numbers[at.ENABLED] &= others
    numbers[at.WAITING] &= others
    numbers[at.TIMED] &= others
    numbers[at.PROBING] &= others
    log(numbers, step, word, 0 if wants == at.NEVER else wants, able)
    if step >= numbers[at.PLANNED] and numbers[at.ASLEEP]:
        _wake(numbers, plan, word, wants)


def log(numbers: memoryview, step: int, word: int, wants: int, able: int) -> None:
    """Log a step as taken."""
    numbers[at.LOG + 2 * step] = word
    numbers[at.LOG + 2 * step + 1] = able | wants << at.WANTED_AT
    numbers[at.STEPS] = step + 1
    if not word & READ:
        numbers[at.CHANGED] = step
        numbers[at.YIELDING] = 0
        numbers[at.SLOW] &= ~at.SOME_YIELD


def _wake(numbers: memoryview, plan: memoryview, word: int, wants: int) -> None:
    """Wake the sleeping lanes whose pending steps depend on the one that was taken (sleep sets: Godefroid, 1996).

    Once no lane sleeps and the policy is `on`, the rest of the plan needs no decisions: lanes take the fast path again.
    """
    asleep = numbers[at.ASLEEP]
    for lane in range(at.MOST_LANES):
        if asleep >> lane & 1:
            slot = at.LANES + lane * at.LANE
            if words_dependent(word, wants, numbers[slot + at.WORD], numbers[slot + at.WANTS]):
                asleep &= ~(1 << lane)
    numbers[at.ASLEEP] = asleep
    if not asleep and not numbers[at.POLICY]:
        start, stop = numbers[at.STEPS], numbers[at.LIMIT]
        plan[start:stop] = _FIRST_COME[start:stop]


def _kill(numbers: memoryview, victim: int, step: int, able: int) -> bool:
    """Log that a lane is killed, and remove all lanes of its process; return whether it was there."""
    if not numbers[at.PRESENT] >> victim & 1:
        return False
    host = numbers[at.HOSTS + victim]
    log(numbers, step, KILLED_WORD | victim, 0, able)
    remove_process(numbers, host)
    return True


def remove_process(numbers: memoryview, host: int, *, by_step: bool = False) -> None:
    """Remove all lanes of a process that did not leave by itself.

    Args:
        numbers: of the board.
        host: the lane of the process.
        by_step: whether it was killed by a step of another lane.
    """
    for lane in range(at.MOST_LANES):
        if numbers[at.HOSTS + lane] == host:
            if by_step:
                numbers[at.GONE] |= (numbers[at.PRESENT] | numbers[at.ENABLED]) & 1 << lane
            for cell in (at.PRESENT, at.ENABLED, at.WAITING, at.TIMED, at.PROBING, at.DIRTY, at.ASLEEP, at.YIELDING):
                numbers[cell] &= ~(1 << lane)
