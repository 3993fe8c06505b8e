from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import comb, factorial
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.explore.model import READS, Op, Plan, Step, Trace, dependent, preemptions
from bench.explore.search import NAMES, make
from bench.explore.search.dfs import DepthFirst
from bench.explore.search.dpor import PartialOrder
from bench.explore.search.portfolio import LONG
from bench.testing import FakeMachine, Program
from bench.testing.machine import (
    Lane,
    acquire,
    attempt,
    begin,
    explore,
    join,
    leave,
    read,
    receive,
    release,
    send,
    sleep,
    start,
    write,
)

if TYPE_CHECKING:
    pass

Actor = Callable[[], Lane]


def outcomes(traces: Sequence[Trace]) -> set[str]:
    return {trace.outcome for trace in traces if trace.outcome}


COUNTERS = dict.fromkeys(("L", "M", "G", "fork0", "fork1", "fork2", "fork3"), 1)


def classes(traces: Sequence[Trace]) -> list[object]:
    """Give of each what those have in common that differ in the order of independent steps alone."""
    found: list[object] = []
    for trace in traces:
        if not trace.outcome:
            continue
        events = [(step.lane, trace.lanes[:index].count(step.lane), step.op) for index, step in enumerate(trace.steps)]
        pairs = itertools.combinations(events, 2)
        orders = frozenset((a[:2], b[:2]) for a, b in pairs if a[0] != b[0] and dependent(a[2], b[2]))
        found.append((frozenset(events), orders))
    return found


def program(*lanes: Actor) -> Program:
    return Program({f"lane {number}": lane for number, lane in enumerate(lanes)}, COUNTERS)


def looking(steps: int) -> Actor:
    def lane() -> Lane:
        for place in range(steps):
            yield read("x", place=place)

    return lane


def adding(amount: int, *, lock: str = "", times: int = 1, name: str = "balance", guard: str = "G") -> Actor:
    """An update of a guarded value, under another lock or not."""

    def lane() -> Lane:
        for place in range(times):
            if lock:
                yield acquire(lock)
            seen = yield read(name, guard=guard, place=place)
            yield write(name, seen + amount, guard=guard)
            if lock:
                yield release(lock)

    return lane


def philosopher(number: int, of: int) -> Actor:
    def lane() -> Lane:
        yield acquire(f"fork{number}")
        yield acquire(f"fork{(number + 1) % of}")
        yield release(f"fork{(number + 1) % of}")
        yield release(f"fork{number}")

    return lane


def dining(count: int) -> Program:
    return program(*(philosopher(number, count) for number in range(count)))


# Depth-first search: counts by hand.


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_two_lanes_of_k_steps_have_2k_over_k_interleavings(steps: int) -> None:
    strategy = make("dfs", lanes=2)
    traces = explore(strategy, FakeMachine(program(looking(steps), looking(steps))))
    assert len(traces) == len({trace.lanes for trace in traces}) == comb(2 * steps, steps)
    assert strategy.complete
    assert strategy.claim() == f"all {comb(2 * steps, steps)} interleavings"


@pytest.mark.parametrize("steps", [(1, 1, 1), (2, 2, 2), (1, 2, 3), (3, 3, 3)])
def test_three_lanes_have_as_many_interleavings_as_the_multinomial_says(steps: tuple[int, ...]) -> None:
    strategy = make("dfs", lanes=3)
    traces = explore(strategy, FakeMachine(program(*map(looking, steps))))
    expected = factorial(sum(steps))
    for one in steps:
        expected //= factorial(one)
    assert len(traces) == len({trace.lanes for trace in traces}) == expected
    assert strategy.claim() == f"all {expected:,} interleavings"


def test_the_account_without_a_lock_has_six_interleavings_and_loses_in_four() -> None:
    traces = explore(make("dfs", lanes=2), FakeMachine(program(adding(1), adding(-1))))
    assert len(traces) == 6
    assert sum("'balance': 0" in trace.outcome for trace in traces) == 2


def test_one_interleaving_is_the_only_one() -> None:
    strategy = make("dfs", lanes=1)
    explore(strategy, FakeMachine(program(looking(3))))
    assert strategy.claim() == "the only interleaving"
    assert strategy.complete


def test_lanes_that_do_nothing_leave_nothing_to_choose() -> None:
    for name in ("dfs", "dpor", "portfolio"):
        strategy = make(name, lanes=2)
        assert len(explore(strategy, FakeMachine(program(looking(0), looking(0))))) == 1
        assert strategy.complete
    explore(make("pct", lanes=2), FakeMachine(program(looking(0), looking(0))), most=3)


@pytest.mark.parametrize(("bound", "count"), [(0, 2), (1, 4), (2, 6)])
def test_two_lanes_of_two_steps_within_a_bound(bound: int, count: int) -> None:
    """AABB and BBAA need no preemption, ABBA and BAAB one, ABAB and BABA two."""
    strategy = make("dfs", lanes=2, preemptions=bound)
    assert len(explore(strategy, FakeMachine(program(looking(2), looking(2))))) == count
    plural = "" if bound == 1 else "s"
    cut = "" if count == 6 else f" with at most {bound} preemption{plural}"
    assert strategy.claim() == f"all {count} interleavings{cut}"


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(
    "lanes",
    [
        (looking(3), looking(2), looking(2)),
        (adding(1, times=2), adding(10, times=2)),
        (adding(1, lock="L"), adding(10, lock="L"), adding(100)),
        (philosopher(0, 2), philosopher(1, 2)),
    ],
)
def test_a_bound_leaves_exactly_those_with_no_more_preemptions(lanes: tuple[Actor, ...], bound: int) -> None:
    machine = FakeMachine(program(*lanes))
    everything = explore(make("dfs", lanes=len(lanes)), machine)
    strategy = make("dfs", lanes=len(lanes), preemptions=bound)
    within = explore(strategy, machine)
    assert strategy.complete
    assert len(within) == len({trace.lanes for trace in within})
    assert {trace.lanes for trace in within} == {
        trace.lanes for trace in everything if preemptions(trace.steps) <= bound
    }


def test_what_a_stopped_search_claims_is_what_it_did() -> None:
    strategy = make("dfs", lanes=2, schedules=5)
    assert len(explore(strategy, FakeMachine(program(looking(3), looking(3))))) == 5
    assert not strategy.complete
    assert strategy.claim() == "5 interleavings, not all"


def test_as_many_schedules_as_there_are_is_complete() -> None:
    strategy = make("dfs", lanes=2, schedules=20)
    explore(strategy, FakeMachine(program(looking(3), looking(3))))
    assert strategy.complete


def test_a_plan_that_was_given_and_not_run_is_not_covered() -> None:
    machine = FakeMachine(program(adding(1), adding(2)))
    for name in ("dfs", "dpor", "portfolio"):
        strategy = make(name, lanes=2)
        while (plan := strategy.next()) is not None:
            assert not strategy.complete
            strategy.learn(machine.run(plan))
        assert strategy.complete


# Kills.


def test_a_lane_is_killed_before_each_step_of_a_schedule() -> None:
    """Of AB and BA: A is killed at once, or after B, so is B; nobody is killed who is through."""
    strategy = make("dfs", lanes=2, kills=1)
    traces = explore(strategy, FakeMachine(program(looking(1), looking(1))))
    assert {trace.lanes for trace in traces} == {(0, 1), (1, 0), (-1, 1), (1, -1), (-2, 0), (0, -2)}
    assert len(traces) == 6
    assert strategy.claim() == "all 6 interleavings with at most 1 kill"


def test_a_kill_takes_the_place_of_a_lanes_next_step() -> None:
    """Three lanes of two steps: 90 without a kill; a lane killed after none or one of its steps, 30 and 90 for each."""
    for name in ("dfs", "portfolio"):
        strategy = make(name, lanes=3, kills=1)
        explore(strategy, FakeMachine(program(looking(2), looking(2), looking(2))))
        assert strategy.claim() == f"all {90 + 3 * (30 + 90)} interleavings with at most 1 kill"


def test_two_kills() -> None:
    strategy = make("dfs", lanes=2, kills=2)
    traces = explore(strategy, FakeMachine(program(looking(1), looking(1))))
    assert len(traces) == 8
    assert {(-1, -2), (-2, -1)} < {trace.lanes for trace in traces}


def test_who_is_killed_with_a_lock_leaves_the_other_waiting() -> None:
    traces = explore(
        make("portfolio", lanes=2, kills=1), FakeMachine(program(adding(1, lock="L"), adding(2, lock="L")))
    )
    stuck = [trace for trace in traces if trace.end == "stuck"]
    assert {len(trace.pending) for trace in stuck} == {1}


def test_kills_within_a_bound_of_preemptions() -> None:
    strategy = make("dfs", lanes=2, kills=1, preemptions=0)
    traces = explore(strategy, FakeMachine(program(looking(2), looking(2))))
    assert strategy.claim() == f"all {len(traces)} interleavings with at most 0 preemptions and 1 kill"
    assert all(preemptions(trace.steps) == 0 for trace in traces)


def test_a_search_with_kills_that_is_stopped_says_how_far_it_came() -> None:
    strategy = make("portfolio", lanes=3, kills=1)
    explore(strategy, FakeMachine(program(looking(2), looking(2), looking(2))), most=5)
    assert not strategy.complete
    assert strategy.claim() == "5 interleavings with at most 0 preemptions and 1 kill, not all"


# Partial-order reduction: known numbers.


def independent(name: str) -> Actor:
    def lane() -> Lane:
        yield write(name, 1)
        yield read(name)

    return lane


def flag_waited_for() -> Lane:
    while not (yield read("flag", waits=True)):
        pass
    yield read("data")


def data_then_flag() -> Lane:
    yield write("data", 1)
    yield write("flag", 1)


def flag_then_data() -> Lane:
    yield write("flag", 1)
    yield write("data", 1)


def parent() -> Lane:
    yield write("x", 1)
    yield start("child")
    yield write("x", 2)
    yield join("exit of child")
    yield read("x")


def child() -> Lane:
    yield begin("child")
    yield write("x", 3)
    yield leave("exit of child")


def looking_first(amount: int) -> Actor:
    def lane() -> Lane:
        yield read("nothing of note")
        yield from adding(amount, lock="L")()

    return lane


def under_own_lock() -> Lane:
    yield acquire("G")
    yield from adding(1)()
    yield release("G")


def keeping_the_guard() -> Lane:
    yield acquire("G")
    yield acquire("signal")
    yield release("G")


def signalling_then_writing() -> Lane:
    yield release("signal")
    yield write("x", 1)


def looking_under_the_guard() -> Lane:
    yield read("x", guard="G")


def waiting_then_looking() -> Lane:
    while not (yield read("flag", waits=True)):
        pass
    yield read("x")


def raising_the_flag() -> Lane:
    yield write("flag", 1)


def overwriting(amount: int) -> Actor:
    def lane() -> Lane:
        yield write("x", amount)

    return lane


def trying(amount: int) -> Actor:
    def lane() -> Lane:
        if (yield attempt("L")):
            yield from adding(amount)()
            yield release("L")

    return lane


def trying_only() -> Lane:
    yield attempt("G")


def sending_under_the_lock() -> Lane:
    yield acquire("G")
    yield send("c", 1)
    yield read("x", guard="G")
    yield release("G")


def sending_then_keeping_the_lock() -> Lane:
    yield send("c", 2)
    yield acquire("G")


KNOWN = [
    ("independent lanes", program(independent("a"), independent("b"), independent("c")), 1),
    ("readers", program(looking(2), looking(2), looking(2)), 1),
    ("the account under a lock", program(adding(1, lock="L"), adding(-1, lock="L")), 2),
    ("under the value's own lock", program(under_own_lock, under_own_lock), 2),
    ("under a lock, thrice", program(*(adding(n, lock="L") for n in (1, 2, 3))), 6),
    ("under a lock, two times each", program(adding(1, lock="L", times=2), adding(2, lock="L", times=2)), 6),
    ("two updates", program(adding(1), adding(-1)), 4),
    ("one under the value's lock, one not", program(under_own_lock, adding(-1)), 3),
    ("a flag waited for is read before or after it is set", program(data_then_flag, flag_waited_for), 2),
]


@pytest.mark.parametrize(
    ("of", "schedules"), [(one, count) for _, one, count in KNOWN], ids=[name for name, *_ in KNOWN]
)
def test_reduction_takes_one_schedule_for_each_class(of: Program, schedules: int) -> None:
    """Counted by hand: the orders of steps that depend on each other."""
    strategy = make("dpor", lanes=len(of.lanes))
    machine = FakeMachine(of)
    traces = explore(strategy, machine)
    assert strategy.complete
    assert len(traces) == schedules
    assert outcomes(traces) == outcomes(explore(make("dfs", lanes=len(of.lanes)), machine))


def test_the_account_under_a_lock_is_decided_in_four_schedules() -> None:
    strategy = make("portfolio", lanes=2)
    traces = explore(strategy, FakeMachine(program(adding(1, lock="L"), adding(-1, lock="L"))))
    assert len(traces) <= 4
    assert strategy.claim() == "all interleavings, up to the order of independent steps, in 2 schedules"


@pytest.mark.parametrize("count", [2, 3, 4])
def test_philosophers_are_found_waiting_for_each_other(count: int) -> None:
    """Of the orders at each fork all but one can be: 2^n, less those that would be a circle the other way."""
    strategy = PartialOrder()
    traces = explore(strategy, FakeMachine(dining(count)))
    assert strategy.complete
    assert sum(trace.end == "stuck" for trace in traces) >= 1
    assert len(outcomes(traces)) == 2
    assert len(traces) - strategy.redundant == 2**count - 1


@pytest.mark.parametrize(
    "lanes",
    [
        (parent, child),
        (data_then_flag, flag_waited_for),
        (flag_then_data, flag_waited_for),
        (flag_then_data, flag_waited_for, adding(1, name="data", guard="")),
        (looking_first(1), looking_first(2)),
        (looking_first(1), adding(2), adding(3, lock="L")),
        (trying(1), trying(2)),
        (trying(1), adding(2, lock="L"), trying(3)),
        (under_own_lock, adding(2), looking(1)),
        (keeping_the_guard, signalling_then_writing, looking_under_the_guard),
        (waiting_then_looking, overwriting(1), raising_the_flag),
        (waiting_then_looking, waiting_then_looking, raising_the_flag, overwriting(1)),
    ],
)
def test_reduction_sees_what_exhaustive_search_sees(lanes: tuple[Actor, ...]) -> None:
    machine = FakeMachine(program(*lanes))
    full, reduced = DepthFirst(), PartialOrder()
    everything = explore(full, machine, most=60_000)
    traces = explore(reduced, machine)
    assert full.complete
    assert reduced.complete
    assert outcomes(traces) == outcomes(everything)
    assert len(traces) <= full.schedules
    if waiting_then_looking not in lanes and flag_waited_for not in lanes:
        assert set(classes(traces)) == set(classes(everything))


def test_what_comes_after_a_failed_try_comes_before_it_also_while_a_lane_waits() -> None:
    """The try T, the lane A that sends, looks and releases under the lock, and the lane B that sends and keeps it.

    By who takes the lock first, ten classes: T, who keeps it, and A never sends (1). B, who keeps it; T comes after,
    and A never sends (1). A, whose send is before or after that of B (2); with each, T comes before the look, between
    look and release, between the release and B's acquire, or after that (4).
    """
    of = program(trying_only, sending_under_the_lock, sending_then_keeping_the_lock)
    full, reduced = DepthFirst(), PartialOrder()
    everything = explore(full, FakeMachine(of))
    found = classes(explore(reduced, FakeMachine(of)))
    assert full.complete
    assert reduced.complete
    assert len(found) == len(set(found)) == 10
    assert set(found) == set(classes(everything))


# All strategies on small programs at random.

SCRIPTS = st.one_of(
    st.tuples(st.just("read"), st.sampled_from("xy")),
    st.tuples(st.just("write"), st.sampled_from("xy")),
    st.tuples(st.just("read guarded"), st.sampled_from("xy")),
    st.tuples(st.just("write guarded"), st.sampled_from("xy")),
    st.tuples(st.just("write if"), st.sampled_from("xy")),
    st.tuples(st.just("acquire"), st.sampled_from("LMG")),
    st.tuples(st.just("release"), st.sampled_from("LM")),
    st.tuples(st.just("try"), st.sampled_from("LMG")),
    st.tuples(st.just("send"), st.just("c")),
    st.tuples(st.just("receive"), st.just("c")),
    st.tuples(st.just("sleep"), st.sampled_from("12")),
)
WAITING = st.tuples(st.just("wait for"), st.sampled_from("xy"))


def scripted(script: Sequence[tuple[str, str]], number: int) -> Actor:
    """A lane that does one thing after the other; what it writes depends on what it saw last."""

    def lane() -> Lane:  # noqa: PLR0912 - one branch for each kind of operation
        seen = 0
        held: list[str] = []
        for place, (what, name) in enumerate(script):
            match what:
                case "read":
                    seen = yield read(name, place=place)
                case "write":
                    yield write(name, 10 * number + seen)
                case "read guarded":
                    seen = yield read(name, guard="G", place=place)
                case "write guarded":
                    yield write(name, 10 * number + seen, guard="G")
                case "write if" if seen:
                    yield write(name, seen + 1)
                case "acquire":
                    yield acquire(name)
                    held.append(name)
                case "release":
                    yield release(name)
                case "try" if (yield attempt(name, place=place)):
                    held.append(name)
                case "send":
                    yield send(name, 10 * number + seen)
                case "receive":
                    seen = yield receive(name)
                case "sleep":
                    yield sleep(int(name))
                case "wait for":
                    while not (seen := (yield read(name, place=place, waits=True))):
                        pass
                case _:
                    pass
        for name in reversed(held[number % 2 :]):  # every other lane forgets the first
            yield release(name)

    return lane


@st.composite
def programs(draw: st.DrawFn, waiting: bool = True) -> Program:
    """Two lanes of up to four steps or three of up to three, over two values, three locks and a channel."""
    count = draw(st.sampled_from([2, 2, 3]))
    kinds = st.lists(SCRIPTS | WAITING if waiting else SCRIPTS, min_size=1, max_size=4 if count == 2 else 3)
    lanes = [scripted(draw(kinds), number) for number in range(1, count + 1)]
    counters = {**COUNTERS, "L": draw(st.sampled_from([1, 1, 2]))}
    return Program(
        {f"lane {number}": lane for number, lane in enumerate(lanes)},
        counters,
        frozenset(draw(st.sampled_from(["", "", "M", "MG"]))),
    )


@settings(max_examples=150, deadline=None)
@given(programs(), st.booleans())
def test_reduction_sees_the_same_outcomes_as_exhaustive_search(one: Program, sleeps: bool) -> None:
    """Values, all that was read on the way, deadlocks and livelocks; also where lanes asleep are run all the same."""
    full, reduced = DepthFirst(), PartialOrder()
    everything = explore(full, FakeMachine(one, limit=100), most=1_500)
    assume(full.complete)
    machine = FakeMachine(one, limit=100, sleeps=sleeps)
    traces = explore(reduced, machine, most=1_500)
    assert outcomes(traces) == outcomes(everything)
    assert reduced.complete


@settings(max_examples=150, deadline=None)
@given(programs(waiting=False))
def test_reduction_takes_each_class_of_interleavings_once(one: Program) -> None:
    """Where nobody waits busily: who does looks once more for each change, which makes classes that do not matter."""
    full, reduced = DepthFirst(), PartialOrder()
    everything = explore(full, FakeMachine(one), most=1_500)
    assume(full.complete)
    found = classes(explore(reduced, FakeMachine(one), most=1_500))
    assert set(found) == set(classes(everything))
    assert len(found) == len(set(found)) == reduced.schedules - reduced.redundant


@settings(max_examples=50, deadline=None)
@given(programs(), st.sampled_from(["pct", "random"]), st.integers(0, 1000))
def test_what_is_seen_at_random_is_among_what_there_is(one: Program, name: str, seed: int) -> None:
    full = DepthFirst()
    seen = outcomes(explore(full, FakeMachine(one, limit=100), most=1_000))
    assume(full.complete)
    assert outcomes(explore(make(name, lanes=3, seed=seed), FakeMachine(one, limit=100), most=50)) <= seen


@settings(max_examples=40, deadline=None)
@given(programs(), st.sampled_from(NAMES), st.integers(0, 1000))
def test_the_same_seed_gives_the_same_schedules(one: Program, name: str, seed: int) -> None:
    runs = [
        [trace.lanes for trace in explore(make(name, lanes=3, seed=seed), FakeMachine(one, limit=100), most=40)]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_another_seed_gives_other_schedules() -> None:
    machine = FakeMachine(program(looking(5), looking(5)))
    for name in ("pct", "random"):
        first, second = (explore(make(name, lanes=2, seed=seed), machine, most=20) for seed in (1, 2))
        assert [trace.lanes for trace in first] != [trace.lanes for trace in second]


# That these tests would notice.


def reads_do_not_matter(one: Op, other: Op) -> bool:
    return dependent(one, other) and one.kind not in READS and other.kind not in READS


def writes_do_not_matter(one: Op, other: Op) -> bool:
    return dependent(one, other) and (one.kind, other.kind) != ("write", "write")


def locks_do_not_matter(one: Op, other: Op) -> bool:
    return dependent(one, other) and not one.wants and not other.wants


def guards_do_not_matter(one: Op, other: Op) -> bool:
    return dependent(one._replace(wants=0), other._replace(wants=0))


@pytest.mark.parametrize(
    ("broken", "lanes"),
    [
        (reads_do_not_matter, (adding(1), adding(2))),
        (writes_do_not_matter, (overwriting(1), overwriting(2))),
        (locks_do_not_matter, (philosopher(0, 2), philosopher(1, 2))),
        (guards_do_not_matter, (under_own_lock, looking_first(2), adding(4, name="other"))),
    ],
)
def test_a_wrong_idea_of_what_depends_on_what_is_noticed(
    broken: Callable[[Op, Op], bool], lanes: tuple[Actor, ...]
) -> None:
    of = program(*lanes)
    full = outcomes(explore(DepthFirst(), FakeMachine(of), most=60_000))
    assert outcomes(explore(PartialOrder(), FakeMachine(of))) == full
    wrong = PartialOrder(depends=broken)
    assert outcomes(explore(wrong, FakeMachine(of, depends=broken))) < full
    assert wrong.complete


# At random.


def test_random_walks_see_all_of_a_small_program_in_the_limit() -> None:
    """The rarest of the 20 has a rate of 1 in 32, so p < 20 (31/32)^1000 < 1e-12 that 1,000 walks miss one."""
    traces = explore(make("random", lanes=2, seed=3), FakeMachine(program(looking(3), looking(3))), most=1_000)
    assert len({trace.lanes for trace in traces}) == 20


def test_a_random_walk_claims_no_more_than_the_rule_of_three() -> None:
    strategy = make("random", lanes=2, schedules=1_000)
    explore(strategy, FakeMachine(program(looking(3), looking(3))))
    assert strategy.claim() == "1,000 random schedules; what was not seen has a rate below 0.003 (95 %)"
    assert not strategy.complete


def test_priorities_find_a_bug_of_depth_1_in_half_of_the_schedules_of_two_lanes() -> None:
    """Data is read before it was written only if the reader runs first: with a probability of 1/2 in each schedule."""
    traces = explore(make("pct", lanes=2, seed=1), FakeMachine(program(data_then_flag, looking(1))), most=300)
    bad = sum(trace.lanes[0] == 1 for trace in traces)
    assert 100 < bad < 200


def test_priorities_state_with_what_probability_a_bug_was_missed() -> None:
    """Two lanes, six steps, 100 schedules of each depth; the first, of depth 1, has told the number of steps."""
    strategy = make("pct", lanes=2, schedules=300)
    explore(strategy, FakeMachine(program(looking(3), looking(3))))
    missed = {1: (1 - 1 / 2) ** 100, 2: (1 - 1 / 12) ** 100, 3: (1 - 1 / 72) ** 100}
    assert missed[1] < 1e-9
    assert 1.6e-4 < missed[2] < 1.7e-4
    assert 0.24 < missed[3] < 0.25
    assert strategy.claim() == (
        "300 schedules of random priorities: a bug that exists was missed with p < "
        "1e-09 (depth 1), 0.00017 (depth 2), 0.25 (depth 3)"
    )


def test_longer_schedules_than_the_first_take_back_what_was_claimed_before() -> None:
    strategy = make("pct", lanes=2)
    short = Trace((Step(0, Op("read", 1), 1),) * 2, "done", outcome="x")
    for length in (1, 1, 1, 1, 50):
        strategy.next()
        strategy.learn(Trace(short.steps * length, "done", outcome="x"))
    assert "depth 2" not in strategy.claim()
    assert "depth 1" in strategy.claim()


@pytest.mark.parametrize("name", ["pct", "random", "portfolio"])
def test_a_lost_update_is_found_at_random_as_well(name: str) -> None:
    of = program(adding(1, times=5), adding(1, times=5))
    traces = explore(make(name, lanes=2, seed=5), FakeMachine(of), most=100)
    assert any("'balance': 10" not in trace.outcome for trace in traces)


# The portfolio.


def test_what_is_too_large_is_bounded_then_sampled() -> None:
    of = program(*(adding(n, times=3) for n in (1, 10, 100)))
    strategy = make("portfolio", lanes=3, schedules=2_000)
    traces = explore(strategy, FakeMachine(of))
    assert len(traces) == 2_000
    assert not strategy.complete
    claims = strategy.claim().split("; ", 1)
    assert claims[0] == "all 96 interleavings with at most 1 preemption"
    assert "differ in the order of dependent steps" in claims[1]
    assert "random priorities" in claims[1]
    assert "random schedules" in claims[1]


def test_a_portfolio_that_was_stopped_after_one_very_long_schedule_says_that_it_was_run() -> None:
    strategy = make("portfolio", lanes=1, schedules=1)
    plan = strategy.next()
    assert plan is not None
    assert strategy.claim() == "nothing was run"
    trace = FakeMachine(program(adding(1))).run(plan)
    strategy.learn(trace._replace(steps=trace.steps * LONG))
    assert (strategy.complete, strategy.claim()) == (False, "1 schedule, not all")


def test_within_a_bound_the_portfolio_goes_no_further() -> None:
    machine = FakeMachine(program(adding(1, times=3), adding(10, times=3)))
    strategy = make("portfolio", lanes=2, preemptions=2)
    traces = explore(strategy, machine)
    assert strategy.complete
    assert max(preemptions(trace.steps) for trace in traces) == 2
    assert strategy.claim() == f"all {len(traces)} interleavings with at most 2 preemptions"


def test_the_portfolio_ends_as_soon_as_one_of_its_strategies_covered_everything() -> None:
    of = program(adding(1), adding(10), adding(100))
    strategy = make("portfolio", lanes=3)
    assert len(explore(strategy, FakeMachine(of))) == len(explore(PartialOrder(), FakeMachine(of)))
    assert strategy.complete
    assert strategy.next() is None


# What goes wrong.


class Unsteady(FakeMachine):
    """Every so many plans something goes wrong, in one way or another."""

    ends = itertools.cycle(["diverged", "died", "uncontrolled"])

    def run(self, plan: Plan) -> Trace:
        trace = super().run(plan)
        if self.schedules % 3:
            return trace
        half = trace.steps[: len(trace.steps) // 2]
        return Trace(half, next(self.ends), {})  # type: ignore[arg-type]  # the ends above, of which cycle gives strings


@pytest.mark.parametrize("name", NAMES)
def test_schedules_that_go_wrong_are_not_covered(name: str) -> None:
    strategy = make(name, lanes=2, schedules=400)
    explore(strategy, Unsteady(program(adding(1, times=2), adding(2, times=2))))
    assert not strategy.complete
    if name in {"dfs", "dpor"}:
        assert "could not be followed to their ends" in strategy.claim()


def test_a_plan_that_was_not_followed_does_not_mislead() -> None:
    for strategy in (DepthFirst(), PartialOrder()):
        machine = FakeMachine(program(adding(1), adding(2)))
        strategy.learn(machine.run(strategy.next() or Plan()))
        strategy.next()
        strategy.learn(machine.run(Plan()))  # not what was asked for
        explore(strategy, machine)
        assert not strategy.complete


@pytest.mark.parametrize("name", ["dfs", "dpor"])
def test_what_never_ends_is_a_livelock(name: str) -> None:
    """Each waits for a flag that the other raises afterwards."""

    def waiting(mine: str, other: str) -> Actor:
        def lane() -> Lane:
            while not (yield read(other, waits=True)):
                pass
            yield write(mine, 1)

        return lane

    strategy = make(name, lanes=2)
    traces = explore(strategy, FakeMachine(program(waiting("a", "b"), waiting("b", "a"))))
    assert strategy.complete
    assert {trace.end for trace in traces} == {"limit"}


@pytest.mark.parametrize(("name", "most"), [("dfs", 20_000), ("dpor", 20_000)])
def test_going_round_up_to_the_limit_of_steps_ends_and_is_not_complete(name: str, most: int) -> None:
    strategy = make(name, lanes=2)

    def going_round() -> Lane:
        while True:
            yield write("x", 1)

    traces = explore(strategy, FakeMachine(program(going_round, going_round), limit=200), most)
    assert len(traces) < most
    assert strategy.next() is None
    assert not strategy.complete
    assert "reached the limit of steps" in strategy.claim()


# Making them.


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": "dprr"}, "no strategy 'dprr'; write one of dpor, dfs, pct, random, portfolio"),
        ({"name": "dpor", "preemptions": 2}, "write --strategy dfs --preemptions 2"),
        ({"name": "pct", "preemptions": 0}, "write --strategy dfs --preemptions 0"),
        ({"name": "dpor", "kills": 1}, "write --strategy dfs --kills 1"),
        ({"name": "dfs", "preemptions": -1}, "write 0 or more"),
        ({"name": "dfs", "schedules": 0}, "write 1 or more"),
        ({"name": "dfs", "kills": -1}, "write 0 or more"),
        ({"name": "dfs", "lanes": 33}, "1 to 32 can"),
        ({"name": "dfs", "lanes": 0}, "1 to 32 can"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_what_to_write(asked: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError) as refused:
        make(**{"lanes": 2, **asked})  # type: ignore[arg-type]  # arguments of several types, by name
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_number_of_schedules_is_kept(name: str) -> None:
    strategy = make(name, lanes=3, schedules=7)
    assert strategy.name == name
    assert len(explore(strategy, FakeMachine(program(adding(1), adding(2), adding(3))))) == 7
    assert not strategy.complete
    assert strategy.claim()
