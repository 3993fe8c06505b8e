"""Demo 1: a process is an object, too: a subclass of `Process` with a `run` of its own."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from typing import TYPE_CHECKING

from bench import acceptable, program

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import DefaultContext


class Reporter(multiprocessing.Process):
    """Sends who it is, and whose child.

    It stands in its module, so that spawn and forkserver can import it, and is a subclass of plain `Process`, so that
    it starts by the default method, whichever that is.
    """

    def __init__(self, end: Connection) -> None:
        super().__init__(name="Reporter")
        self.end = end

    def run(self) -> None:
        creator = multiprocessing.parent_process()
        with self.end:
            self.end.send(
                {
                    "pid": os.getpid(),
                    "pid by name": self.pid,
                    "creator": creator.pid if creator else None,
                    "parent": os.getppid(),
                }
            )


def _named(pid: int) -> str:
    # Python has no public name for the pid of its forkserver.
    names = {getattr(forkserver._forkserver, "_forkserver_pid", None): "forkserver", os.getpid(): "main"}
    return names.get(pid, "somebody else")


def _seen_from(parent: str) -> dict[str, object]:
    return {"pid": "own", "knows its pid": True, "creator": "main", "parent": parent}


@program(
    acceptable(_seen_from("main"), "main forked it, or spawned it", under=("fork", "spawn")),
    acceptable(_seen_from("forkserver"), "main asked the forkserver, which forked it", under="forkserver"),
)
def own_run(mp: DefaultContext) -> dict[str, object]:
    """A subclass of `Process` runs its own `run` in a process with its own pid.

    Who created it, `parent_process()` says alike under every start method. `os.getppid()` does not: under forkserver
    the parent is the server.
    """
    receiver, sender = mp.Pipe(duplex=False)
    with receiver:
        child = Reporter(sender)
        child.start()
        sender.close()
        seen = receiver.recv()
        child.join()
    return {
        "pid": "own" if seen["pid"] != os.getpid() else "main's",
        "knows its pid": seen["pid by name"] == seen["pid"] == child.pid,
        "creator": _named(seen["creator"]),
        "parent": _named(seen["parent"]),
    }


if __name__ == "__main__":
    from bench.demos.script import show

    show()
