"""Scenarios for what explore shares with the world outside of the actors: time, signals, chance, others that run."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import multiprocessing
import os
import queue
import random
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import datetime as early
from typing import Any

from bench import acceptable, actor, deterministic, program, scenario

NAP_S = 0.3
IMPORTED = time.time()
KEPT: list[Any] = []


class Noted:
    """A number that one actor writes and another one has seen."""

    def __init__(self, mp: Any) -> None:
        self.x, self.seen = mp.RawValue("i", 0), mp.RawValue("i", -1)

    def result(self) -> object:
        return self.seen.value


# Time


class Pauses(Noted):
    """Writes twice, with a pause that keeps nothing apart."""

    def pause(self) -> None:
        raise NotImplementedError

    @actor
    def writes(self) -> None:
        self.x.value = 1
        self.pause()
        self.x.value = 2

    @actor
    def reads(self) -> None:
        self.seen.value = self.x.value


@scenario(acceptable(bool))
class GivesWay(Pauses):
    def pause(self) -> None:
        time.sleep(0)


@scenario(acceptable(bool))
class HardlySleeps(Pauses):
    def pause(self) -> None:
        time.sleep(1e-6)


@scenario(acceptable(bool))
class WaitsGivingWay(Noted):
    """A loop that gives way until the other one has come."""

    @actor
    def waits(self) -> None:
        while not self.x.value:
            time.sleep(0)
        self.seen.value = 5

    @actor
    def comes(self) -> None:
        self.x.value = 1


def _seconds(at: datetime.datetime) -> float:
    return at.replace(tzinfo=datetime.timezone.utc).timestamp()


CLOCKS: dict[str, Any] = {
    "time.monotonic": time.monotonic,
    "time.perf_counter_ns": lambda: time.perf_counter_ns() / 1e9,
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    "time.clock_gettime_ns": lambda: time.clock_gettime_ns(time.CLOCK_REALTIME) / 1e9,
    "datetime.now": lambda: datetime.datetime.now().timestamp(),
    "now, imported before": lambda: early.now(datetime.timezone.utc).timestamp(),
    "datetime.today": lambda: early.today().timestamp(),
    "os.times": lambda: os.times()[4],
}
WHOLE: dict[str, Any] = {
    "time.localtime": lambda: time.mktime(time.localtime()),
    "time.gmtime": lambda: _seconds(datetime.datetime(*time.gmtime()[:6])),
    "time.strftime": lambda: _seconds(datetime.datetime.strptime(time.strftime("%Y%m%d%H%M%S"), "%Y%m%d%H%M%S")),
    "time.ctime": lambda: _seconds(datetime.datetime.strptime(time.ctime(), "%a %b %d %H:%M:%S %Y")),
    "time.asctime": lambda: _seconds(datetime.datetime.strptime(time.asctime(), "%a %b %d %H:%M:%S %Y")),
}
"""Those that show whole seconds."""


def _gets() -> None:
    with contextlib.suppress(queue.Empty):
        queue.Queue[int]().get(timeout=NAP_S)


def _acquires() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=NAP_S)


def _waits_for() -> None:
    with (condition := threading.Condition()):
        condition.wait_for(lambda: False, NAP_S)


NAPS: dict[str, Any] = {
    "time.sleep": lambda: time.sleep(NAP_S),
    "Event.wait": lambda: threading.Event().wait(NAP_S),
    "Queue.get": _gets,
    "Lock.acquire": _acquires,
    "Condition.wait_for": _waits_for,
    "select.select": lambda: select.select([], [], [], NAP_S),
}


@scenario(deterministic([]))
class ClocksAgree:
    """After a nap of any kind that much time has passed, by any clock."""

    def __init__(self, mp: Any) -> None:
        self.names = [f"{nap}, {clock}" for nap in NAPS for clock in CLOCKS] + list(WHOLE)
        self.wrong = mp.RawArray("i", len(self.names))

    @actor
    def naps(self) -> None:
        wrong, number = [], 0
        for nap in NAPS.values():
            before = [clock() for clock in CLOCKS.values()]
            nap()
            after = [clock() for clock in CLOCKS.values()]
            wrong += [not NAP_S <= end - begin < NAP_S + 5 for begin, end in zip(before, after, strict=True)]
        for clock in WHOLE.values():
            begin = clock()
            time.sleep(2)
            wrong.append(not 2 <= clock() - begin < 5)
        for number, is_wrong in enumerate(wrong):
            if is_wrong:
                self.wrong[number] = 1

    @actor
    def other(self) -> None:
        self.wrong[0] = 0

    def result(self) -> object:
        return [name for name, is_wrong in zip(self.names, self.wrong[:], strict=True) if is_wrong]


@scenario(deterministic([1, 1, 1, 1]))
class TimesInOrder:
    """The import, the making of the state, an actor, the result: each later than the one before, by a little."""

    def __init__(self, mp: Any) -> None:
        self.made, self.seen = time.time(), mp.RawArray("d", 2)

    @actor
    def looks(self) -> None:
        self.seen[0] = time.time()

    @actor
    def sleeps(self) -> None:
        time.sleep(100)
        self.seen[1] = datetime.datetime.now().timestamp()

    def result(self) -> object:
        times = [IMPORTED, self.made, self.seen[0], self.seen[1], time.time()]
        return [int(0 <= later - before < 101) for before, later in itertools.pairwise(times)]


@scenario(deterministic(1))
class TimesAProgram(Noted):
    """Another program takes time, which passes by the clock as well."""

    @actor
    def runs(self) -> None:
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.05)"], check=True)
        self.seen.value = time.monotonic() - begun >= 0.05

    @actor
    def other(self) -> None:
        self.x.value = 1


# Signals


class TwoProcesses(Noted):
    """One tells its number, and does something; the other one, which knows it, goes on."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.pid, self.told = mp.RawValue("i", 0), mp.Semaphore(0)

    def goes_on(self) -> None:
        pass

    def to(self, pid: int) -> None:
        raise NotImplementedError

    @actor
    def tells(self) -> None:
        self.pid.value = os.getpid()
        self.told.release()
        self.x.value = 1
        self.x.value = 2

    @actor
    def other(self) -> None:
        self.told.acquire()
        self.to(self.pid.value)


@scenario(acceptable(bool))
class Signals(TwoProcesses):
    """The other one handles the signal, at any time."""

    @actor
    def tells(self) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: setattr(self.seen, "value", self.x.value))
        super().tells()

    def to(self, pid: int) -> None:
        os.kill(pid, signal.SIGUSR1)


@scenario(acceptable(bool))
class Asks(TwoProcesses):
    def to(self, pid: int) -> None:
        os.kill(pid, 0)
        self.seen.value = self.x.value


@scenario(acceptable(bool))
class Ignores(TwoProcesses):
    """The other one is not ended by what it ignores."""

    @actor
    def tells(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().tells()

    def to(self, pid: int) -> None:
        os.kill(pid, signal.SIGTERM)
        self.seen.value = self.x.value


@scenario(acceptable(bool))
class Kills(TwoProcesses):
    def to(self, pid: int) -> None:
        os.kill(pid, signal.SIGTERM)


@scenario(acceptable(bool))
class SignalsItself(Noted):
    """A handler of its own process is a part of it, which runs where the signal is sent."""

    @actor
    def signals(self) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: setattr(self.x, "value", 1))
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        self.x.value = 2

    @actor
    def reads(self) -> None:
        self.seen.value = self.x.value


@scenario(acceptable(bool))
class SetsATimer(Noted):
    @actor
    def sets(self) -> None:
        signal.signal(signal.SIGALRM, lambda *_: setattr(self.x, "value", 1))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        self.seen.value = self.x.value

    @actor
    def other(self) -> None:
        self.x.value = 2


# Others that run


class Served(Noted):
    """Both actors wait for somebody who is none."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.ready = mp.Semaphore(0)
        self.start(mp)

    def start(self, mp: Any) -> None:
        raise NotImplementedError

    @actor
    def one(self) -> None:
        self.ready.acquire()
        self.seen.value = 1

    @actor
    def other(self) -> None:
        self.x.value = 1


def _release(ready: Any) -> None:
    time.sleep(0.5)
    ready.release()
    time.sleep(60)


@scenario(acceptable(bool))
class ServedByProcess(Served):
    def start(self, mp: Any) -> None:
        helper = mp.Process(target=_release, args=(self.ready,), daemon=True)
        helper.start()
        KEPT.append(helper)


@scenario(acceptable(bool))
class ServedByThread(Served):
    def start(self, mp: Any) -> None:
        threading.Thread(target=_release, args=(self.ready,), daemon=True).start()


@scenario(acceptable(bool))
class ServedByManager(Served):
    def start(self, mp: Any) -> None:
        manager = mp.Manager()
        self.ready = manager.Semaphore(1)
        KEPT.append(manager)


@scenario(acceptable(bool))
class CrossedBesideAProcess(Served):
    """Whoever else runs, two that wait for locks of each other do so for ever."""

    def start(self, mp: Any) -> None:
        ServedByProcess.start(self, mp)  # type: ignore[arg-type]  # of its kind
        self.first, self.second = mp.Lock(), mp.Lock()

    @actor
    def one(self) -> None:
        with self.first, self.second:
            self.seen.value = 1

    @actor
    def other(self) -> None:
        with self.second, self.first:
            self.x.value = 1


# Chance


DRAWS: dict[str, Any] = {
    "os.urandom": lambda: os.urandom(16),
    "os.getrandom": lambda: os.getrandom(16),
    "random.random": random.random,
    "random.choices": lambda: random.choices(range(1_000), k=8),
    "Random": lambda: random.Random().random(),
    "SystemRandom": lambda: random.SystemRandom().getrandbits(64),
    "secrets": secrets.token_hex,
    "uuid1": uuid.uuid1,
    "uuid4": uuid.uuid4,
}


@scenario(acceptable(bool))
class Draws(Noted):
    """What two actors draw, twice, and the making of the state."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.drawn = mp.RawArray("c", 4_000), mp.RawArray("c", 4_000)
        self.made = uuid.uuid4().hex, random.Random().random()

    def draw(self, me: int) -> None:
        text = "\n".join(f"{name} {draw()}" for name, draw in DRAWS.items() for _ in range(2))
        self.drawn[me].raw = text.encode().ljust(4_000)
        self.x.value = me

    @actor
    def one(self) -> None:
        self.draw(0)

    @actor
    def other(self) -> None:
        self.draw(1)

    def result(self) -> object:
        return [*(one.raw.decode().strip() for one in self.drawn), *map(str, self.made)]


class Branches(Noted):
    """Adds one more by chance."""

    def chance(self) -> int:
        raise NotImplementedError

    @actor
    def adds(self) -> None:
        self.seen.value = self.chance() % 2

    @actor
    def other(self) -> None:
        self.x.value = 1


@scenario(acceptable(lambda value: True))
class BranchesByBytes(Branches):
    def chance(self) -> int:
        return os.urandom(1)[0]


@scenario(acceptable(lambda value: True))
class BranchesByUuid(Branches):
    def chance(self) -> int:
        return uuid.uuid4().int


@scenario(acceptable(lambda value: True))
class BranchesByRandom(Branches):
    def chance(self) -> int:
        return random.randrange(100)


@scenario(acceptable(lambda value: True))
class BranchesByNumber(Branches):
    def chance(self) -> int:
        return os.getpid()


@scenario(deterministic(True))
class NamesItsNumber(Noted):
    """The number of a process as a name, and as what it is."""

    @actor
    def names(self) -> None:
        own = os.getpid()
        self.x.value = own
        self.seen.value = f"{own}.{own:d}" == f"{self.x.value}." + str(own) and own == os.getpid() and own in {own}

    @actor
    def other(self) -> None:
        self.x.value = self.x.value

    def result(self) -> object:
        return bool(self.seen.value)


@scenario(deterministic([0.5714025946899135, 0.5714025946899135]))
class SeedsItself:
    """A generator that the code seeds goes by that seed."""

    def __init__(self, mp: Any) -> None:
        self.drawn = mp.RawArray("d", 2)

    def draw(self, me: int) -> None:
        random.seed(10)
        self.drawn[me] = random.random()

    @actor
    def one(self) -> None:
        self.draw(0)

    @actor
    def other(self) -> None:
        self.draw(1)

    def result(self) -> object:
        return list(self.drawn)


class OwnProcess(multiprocessing.process.BaseProcess):
    """A process as a library starts it in its own way."""

    _start_method = "fork"

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  # as multiprocessing calls it
        from multiprocessing import popen_fork

        return popen_fork.Popen(process_obj)


@program(deterministic(7))
def started_in_its_own_way(mp: Any) -> int:  # as programs are called
    one = OwnProcess(target=int)
    one.start()
    one.join()
    return 7
