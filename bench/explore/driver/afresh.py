"""Schedules in processes made anew: state, actors, and also the process that makes them and reads the result.

What an actor, `__init__` or `result` keeps where nobody looks (a default argument, an iterator, a cache) stays from
schedule to schedule. Whether anything does is decided by experiment: the same schedule is run here and compared, see
`bench.explore.driver.exploration`. Where it differs, all schedules are run here.

    exploring process           has the strategy and the board, and carries the plans out
      └ template                forked before any state was made; makes nothing itself
          └ stage               forked for each schedule: makes the state, starts the actors, reads the result
              └ actors          under the start method, as ever
"""

from __future__ import annotations

import multiprocessing
import os
import signal

from bench.explore.driver.subject import Caveats, EndedEarly, Refused
from bench.outcomes import Outcome
from bench.process import residents
from bench.process.death_signal import die_with_parent
from bench.process.ended import how_it_ended, wait_for_end
from bench.process.messages import Running, Starting
from bench.state import folders

TYPE_CHECKING = False  # as type checkers know it: each exploration of a scenario imports this

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from multiprocessing.connection import Connection
    from typing import Any, NoReturn

    from bench.explore.driver.scenario import ScenarioSubject
    from bench.explore.model import End

_ENDING_S = 2.0
"""How long actors may take to end once their stage has."""


class StageFailed(Exception):
    """The making of a state raised; `described` is as `bench.process.instrument.describe` returns it."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        super().__init__(described["message"])
        self.described = described


class _Died(Exception):
    """The process of a stage ended before it was told to, with the status `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class FreshSubject:
    """A scenario of which each schedule has a state, actors and a main process of its own.

    Invariant: the template and its stage are never at work while the exploring process is, but for the actors.
    """

    shrinking_s = 10.0

    def __init__(self, scenario: ScenarioSubject) -> None:
        """Fork the template.

        Args:
            scenario: the scenario, of which no state has been made yet.
        """
        self.scenario, self.executor = scenario, scenario.executor
        self.rebuilt = self.overlong = 0
        self.why_rebuilt = ""
        self._there = False
        self._died: _Died | None = None
        ours, theirs = multiprocessing.Pipe()
        parent = os.getpid()
        self._template = os.fork()
        if not self._template:
            ours.close()
            _be_template(scenario, theirs, parent)
        theirs.close()
        self._wire = ours

    # Questions to the stage.

    def _ask(self, what: str, *arguments: object) -> Any:
        """Have the stage do something, and return what it returns.

        Raises:
            _Died: if it ends meanwhile.
            Refused, EndedEarly, StageFailed: as the scenario itself.
        """
        if self._died is not None:
            raise self._died
        self._wire.send((what, arguments, self.executor.kills))
        kind, answer = self._wire.recv()
        if kind == "died":
            self._died = _Died(answer)
            raise self._died
        if kind == "refused":
            raise Refused(answer)
        if kind == "early":
            raise EndedEarly(answer)
        if kind == "failed":
            raise StageFailed(answer)
        return answer

    def ready(self) -> None:
        """Have a stage forked, which makes a state and starts its actors."""
        if self._there:
            return
        scenario = self.scenario
        scenario.send(Starting())
        self._died, self._there = None, True
        try:
            self.executor.labels.sizes = self._ask("ready")
        except _Died as died:
            raise EndedEarly(_crash(died)) from None
        scenario.send(Running())

    def dead(self) -> int | None:
        """Return the lane of an actor whose process has ended, other than by a kill of the plan, and not well."""
        try:
            return self._ask("dead")  # type: ignore[no-any-return]  # what the method of that name returns
        except _Died:
            return min(self.executor.present(), default=None)

    def revive(self, lane: int) -> bool:  # noqa: ARG002  # of the protocol
        """Revive nothing: no process takes the place of an actor's."""
        return False

    def contents(self) -> object:
        """Return nothing: the state is in a process of its own."""
        return None

    def changed(self) -> set[int]:
        """Return the objects whose memory has changed since the schedule began."""
        try:
            return self._ask("changed")  # type: ignore[no-any-return]  # as above
        except _Died:
            return set()

    def outcome(self, end: End) -> Outcome | None:
        """Return what the actors made of the state; a crash of the process that made it is one."""
        try:
            outcome, self.overlong = self._ask("outcome", end, self.overlong)
        except _Died as died:
            return _crash(died)
        return outcome  # type: ignore[no-any-return]  # as above

    def stacks(self) -> list[dict[str, Any]]:
        """Return the stack of each actor that is not through."""
        try:
            return self._ask("stacks")  # type: ignore[no-any-return]  # as above
        except _Died:
            return []

    def put_back(self, end: End) -> None:
        """End the stage and its actors."""
        self.rebuilt += 1
        self._end_stage("put_back", end)

    def _end_stage(self, *order: object) -> None:
        if not self._there:
            return
        self._there = False
        try:
            self._ask(str(order[0]), *order[1:])
        except _Died as died:
            if died.code:
                self._await_actors()
        self.executor.drain()

    def _await_actors(self) -> None:
        """Wait for the actors of a stage that died: one that is dying could take the baton meant for the next."""
        for lane in range(self.executor.actors):
            if pid := self.executor.board.lane(lane).pid:
                wait_for_end(pid, _ENDING_S)

    def caveats(self, schedules: int) -> Caveats:
        """Return that all states were made anew, and why; the rest as the scenario itself."""
        self.scenario.overlong = self.overlong
        return self.scenario.caveats(schedules)._replace(rebuilt=self.rebuilt, why_rebuilt=self.why_rebuilt)

    def close(self) -> None:
        """End the stage, if there is one."""
        self._end_stage("put_back", "died")

    def end(self) -> None:
        """End the template."""
        self.close()
        os.kill(self._template, signal.SIGKILL)
        os.waitpid(self._template, 0)
        self._wire.close()


def _crash(died: _Died) -> Outcome:
    return Outcome("crash", detail={"process": "MainProcess", "role": "main", **how_it_ended(died.code)})


# The template and its stages.


def _be_template(scenario: ScenarioSubject, wire: Connection, parent: int) -> NoReturn:
    """Fork a stage for each schedule, as it is asked for, until the exploring process ends."""
    try:
        _die_with(parent)
        here = os.getpid()
        before = folders.names()
        method = scenario.context.get_start_method()
        while wire.poll(None):
            residents.start_helpers(method)
            pid = os.fork()
            if not pid:
                _die_with(here)
                residents.share_helpers(method)
                _Stage(scenario, wire, before).run()
            _, status = os.waitpid(pid, 0)
            wire.send(("died", os.waitstatus_to_exitcode(status)))
    except (EOFError, OSError):
        pass  # the exploring process has ended, and so does this one
    finally:
        os._exit(0)


def _die_with(parent: int) -> None:
    """Make this process end with its parent: what the parent does at its end is no business of its fork."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


class _Stage:
    """Plays one schedule of a scenario, as it is told to."""

    def __init__(self, scenario: ScenarioSubject, wire: Connection, before: Collection[str]) -> None:
        self.scenario, self.wire, self.before = scenario, wire, before

    def run(self) -> NoReturn:
        """Answer until the schedule is over."""
        status = 0
        try:
            over = False
            while not over:
                what, arguments, self.scenario.executor.kills = self.wire.recv()
                over = what == "put_back"
                answer = self.answer(what, arguments)
                if not over:  # then it is the status that says so
                    self.wire.send(answer)
        except (EOFError, OSError):
            status = 1
        finally:
            os._exit(status)

    def answer(self, what: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
        """Do what is asked; return the kind of the answer, and the answer."""
        try:
            return "done", getattr(self, what)(*arguments)
        except Refused as error:
            return "refused", str(error)
        except EndedEarly as error:
            return "early", error.outcome
        except Exception as error:  # noqa: BLE001  # of the user's making of the state, or a mistake of the bench
            from bench.process.instrument import describe

            return "failed", describe(error)

    def ready(self) -> Mapping[int, int]:
        """Make the state, and start the actors; return the sizes of the items of arrays."""
        self.scenario.ready()
        return self.scenario.actors.sizes

    def dead(self) -> int | None:
        """Return the lane of an actor that has ended too early."""
        return self.scenario.dead()

    def changed(self) -> set[int]:
        """Return the objects whose memory has changed."""
        return self.scenario.changed()

    def outcome(self, end: End, overlong: int) -> tuple[Outcome | None, int]:
        """Return the outcome, and how many schedules were too long so far."""
        self.scenario.overlong = overlong
        return self.scenario.outcome(end), self.scenario.overlong

    def stacks(self) -> list[dict[str, Any]]:
        """Return the stacks of the actors."""
        return self.scenario.stacks()

    def put_back(self, end: End) -> None:
        """End the actors, and remove what is left of them among the temporary files."""
        self.scenario.end_schedule(end)
        self.scenario.close()
        residents.unlink_semaphores()
        folders.remove_all(folders.names() - set(self.before))
