"""What each test leaves behind: what is there after its teardown, and was not there before its setup.

What a fixture of a wider scope made is not the test's: it counts once that fixture has ended, and then as the
fixture's. What appears in a test that uses such a fixture may be the fixture's too, as the workers of a pool that
starts them when it is first used: it counts for the test if it is still there once the fixture has ended.
"""

from __future__ import annotations

import gc
import re
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from bench.process.tree import Proc, read
from bench.pytest_plugin import snapshots
from bench.pytest_plugin.snapshots import Snapshot

if TYPE_CHECKING:
    from bench.pytest_plugin.islands import Marking
    from bench.record import LeftKind

_GRACE_S = 0.25
"""How long processes and threads have to end that were told to."""

_MOST_GRACE_S = 3.0
_SHORT_GRACE_S = 0.02
_GC_SHARE = 0.01
"""The share of a session's time that collecting garbage may take, to tell what is left from what is not freed."""

_INODE = re.compile(r":\[\d+\]$")

_OWN = ("_pytest", "pytest", "xdist", "bench.")


@dataclass(frozen=True)
class _Found:
    """One thing that was left; `is_there` says whether it still is."""

    kind: LeftKind
    name: str
    is_there: Callable[[], bool]
    pid: int | None = None


@dataclass(frozen=True)
class _Pending:
    """Something that appeared in a test, and belongs to the fixtures that it used until these have ended."""

    nodeid: str
    found: _Found
    fixtures: frozenset[str]


class Watch:
    """Watches the tests of one process."""

    def __init__(self, marking: Marking, *, alone: bool) -> None:
        """Watch the tests whose marks `marking` writes.

        Args:
            marking: takes the notes.
            alone: whether no other process runs tests of this cell, so that orphans are this one's.
        """
        self._marking = marking
        self._cell = int(marking.orders["supervisor"])
        self._alone = alone
        self._strict = bool(marking.orders["strict"])
        self._before: Snapshot | None = None
        self._initial: dict[str, Any] = {}
        self._live: dict[str, str] = {}
        self._ended: set[str] = set()
        self._made: list[tuple[str, _Found]] = []
        self._changed_by: dict[str, set[str]] = {}
        self._pending: list[_Pending] = []
        self._failed = False
        self._began = time.monotonic()
        self._waited_s = 0.0
        self._collecting_s = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Take the first snapshot; the one after a test is the one before the next."""
        self._failed = False
        snapshots.follow_registrations()
        if self._before is None:
            self._before = self._take()
            self._initial = dict(self._before.state)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Take what a fixture of a wider scope makes out of the account of the test that is at hand."""
        if fixturedef.scope == "function" or self._before is None:
            return (yield)
        before = self._take()
        try:
            return (yield)
        finally:
            self._credit(fixturedef, before)

    def _credit(self, fixturedef: pytest.FixtureDef[Any], before: Snapshot) -> None:
        now, mine = self._take(), self._before
        assert mine is not None
        key = _key(fixturedef)
        if not str(getattr(fixturedef.func, "__module__", "")).startswith(_OWN):
            self._live[key] = fixturedef.argname
        self._made += [(key, one) for one in self._new(before, now)]
        mine.processes |= now.processes - before.processes
        mine.threads |= now.threads - before.threads
        mine.names |= now.names - before.names
        mine.descriptors |= now.descriptors - before.descriptors
        for name in snapshots.changed(before.state, now.state):
            mine.state[name] = now.state.get(name)
            self._changed_by.setdefault(name, set()).add(key)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Note that a fixture has ended."""
        if fixturedef.scope != "function":
            self._ended.add(_key(fixturedef))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what a test has left once it is torn down; fail it where that is asked for."""
        report = yield
        self._failed = self._failed or report.failed
        if call.when == "teardown" and self._before is not None:
            left = self._judge(item, self._before)
            if left and self._strict and report.passed:
                report.outcome = "failed"
                report.longrepr = "left behind: " + ", ".join(f"{kind} {name}" for kind, name in left)
        return report

    def _take(self) -> Snapshot:
        return snapshots.take(self._cell, orphans=self._alone)

    def _judge(self, item: pytest.Item, before: Snapshot) -> list[tuple[str, str]]:
        now = self._take()
        new = self._new(before, now)
        if any(one.kind in ("process", "thread") for one in new):
            self._wait(new)
        if any(one.kind in ("semaphore", "descriptor") for one in new):
            new = self._without_garbage(before, now, new)
        new = [one for one in new if one.is_there()]
        left = self._of_ended_fixtures()
        owners = frozenset(self._owners(item))
        if owners:
            self._pending += [_Pending(item.nodeid, one, owners) for one in new]
        else:
            left += [(kind, name, None) for kind, name in _counted(new)]
        left += [(*one, None) for one in self._of_state(before, now)]
        pids = [one.pid for one in new if one.pid is not None]
        if left or pids:
            self._marking.note(item.nodeid, left=left, pids=pids)
        self._ended.clear()
        self._before = self._take() if new else now
        return [(kind, name if fixture is None else f"{name} (of fixture {fixture})") for kind, name, fixture in left]

    def _new(self, before: Snapshot, now: Snapshot) -> list[_Found]:
        """Return what is new in a snapshot, in detail."""
        found = [_process(proc) for proc in snapshots.living(now.processes - before.processes)]
        if now.threads - before.threads:
            found += [_Found("thread", one.name, one.is_alive) for one in snapshots.threads_left(before.threads)]
        for name in sorted(now.names - before.names):
            found.append(_Found(*snapshots.describe_name(name), _is_name(name)))
        if now.descriptors - before.descriptors:
            for number, target in snapshots.descriptors_left(before.descriptors):
                name = _INODE.sub("", target)  # one of a kind has another number each time
                found.append(_Found("descriptor", name, _is_descriptor(number, target)))
        return found

    def _wait(self, new: list[_Found]) -> None:
        """Wait a moment for processes and threads to end that may have been told to."""
        grace_s = _GRACE_S if self._waited_s < _MOST_GRACE_S or self._strict else _SHORT_GRACE_S
        began = time.monotonic()
        going = [one for one in new if one.kind in ("process", "thread")]
        while any(one.is_there() for one in going) and time.monotonic() < began + grace_s:
            time.sleep(0.005)  # how such an end is announced differs from kind to kind
        self._waited_s += time.monotonic() - began

    def _without_garbage(self, before: Snapshot, now: Snapshot, new: list[_Found]) -> list[_Found]:
        """Return what is new but for what only garbage holds; of a test that failed its traceback may hold the rest."""
        others = [one for one in new if one.kind not in ("semaphore", "descriptor")]
        began = time.monotonic()
        if self._failed or (self._collecting_s > 1 + _GC_SHARE * (began - self._began) and not self._strict):
            return others
        gc.collect()
        self._collecting_s += time.monotonic() - began
        return others + [one for one in self._new(before, now) if one.kind in ("semaphore", "descriptor")]

    def _of_state(self, before: Snapshot, now: Snapshot) -> list[tuple[LeftKind, str]]:
        """Return what a test has changed of what a process has one of, and not put back."""
        return [
            snapshots.describe_state(name, before.state.get(name), now.state.get(name))
            for name in sorted(snapshots.changed(before.state, now.state))
            if now.state.get(name) != self._initial.get(name) and not self._changed_by.get(name, set()) & self._ended
        ]

    def _owners(self, item: pytest.Item) -> set[str]:
        """Return the fixtures of wider scopes that a test uses, and that may make something when they are used."""
        info = getattr(item, "_fixtureinfo", None)
        used = [defs[-1] for defs in getattr(info, "name2fixturedefs", {}).values() if defs]
        return {
            _key(one) for one in used if _key(one) in self._live and _key(one) not in self._ended and _has_value(one)
        }

    def _of_ended_fixtures(self) -> list[tuple[LeftKind, str, str | None]]:
        """Return what fixtures have left that ended with this test; note what other tests left by way of them."""
        left: list[tuple[LeftKind, str, str | None]] = []
        # Objects that hold a descriptor or a semaphore may live on in pytest for a while, and are freed with them.
        kinds = ("process", "thread", "shared memory")
        made = [(key, one) for key, one in self._made if key in self._ended and one.kind in kinds]
        self._wait([one for _, one in made])
        left += [(one.kind, one.name, self._live.get(key, key)) for key, one in made if one.is_there()]
        self._made = [(key, one) for key, one in self._made if key not in self._ended]
        kept = []
        for pending in self._pending:
            if pending.fixtures <= self._ended | {key for key in pending.fixtures if key not in self._live}:
                if pending.found.is_there():
                    self._marking.note(pending.nodeid, left=[(pending.found.kind, pending.found.name, None)])
            else:
                kept.append(pending)
        self._pending = kept
        for key in self._ended:
            self._live.pop(key, None)
        return left


def _counted(found: list[_Found]) -> list[tuple[LeftKind, str]]:
    """Return kind and name of each, with their number where there are several of one name."""
    numbers = Counter((one.kind, one.name) for one in found)
    return [(kind, name if count == 1 else f"{name} ({count})") for (kind, name), count in numbers.items()]


def _key(fixturedef: pytest.FixtureDef[Any]) -> str:
    return f"{fixturedef.baseid}::{fixturedef.argname}"


def _has_value(fixturedef: pytest.FixtureDef[Any]) -> bool:
    cached = fixturedef.cached_result
    return cached is not None and cached[0] is not None


def _process(proc: Proc) -> _Found:
    def is_there() -> bool:
        now = read(proc.pid)
        return now is not None and now.started == proc.started

    return _Found("process", snapshots.describe_process(proc), is_there, proc.pid)


def _is_name(name: str) -> Callable[[], bool]:
    return lambda: snapshots.exists(f"{snapshots.SHM}/{name}")


def _is_descriptor(number: int, target: str) -> Callable[[], bool]:
    return lambda: snapshots.target_of(number) == target
