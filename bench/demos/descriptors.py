"""Demo 12: a file descriptor is a number, and means something in one process alone."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

from bench import acceptable, deterministic, interesting, program, raises

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import DefaultContext

CODE = "MX-317"


class NumberWriter(multiprocessing.Process):
    """Writes a code to a descriptor of which it has been given the number."""

    def __init__(self, descriptor: int, code: str) -> None:
        super().__init__(name="Writer")
        self.descriptor = descriptor
        self.code = code

    def run(self) -> None:
        os.write(self.descriptor, self.code.encode())


@program(
    acceptable(CODE, "a forked child has its parent's descriptors, under the same numbers", under="fork"),
    interesting(
        raises(OSError, match="Bad file descriptor", process="child"),
        "the child starts without them: the number leads nowhere there, or where nothing can be written",
        under=("spawn", "forkserver"),
    ),
    interesting("", "the number led to a pipe of the forkserver's own, which took the code", under="forkserver"),
)
def code_through_os_pipe(mp: DefaultContext, *, code: str = CODE) -> str:  # noqa: ARG001  # its class chooses
    """A subclass of `Process` writes a code through the descriptor of an `os.pipe`, which reaches its parent by fork.

    Under spawn and forkserver the number leads nowhere in the child, or to its standard input, and the write raises
    `OSError` there (or to the server's pipes, numbers 12 to 14, where the code is lost without a word). The parent
    reads an empty end of file, and would wait for ever had it not closed its own copy of the end to write.
    """
    read_end, write_end = os.pipe()
    try:
        child = NumberWriter(write_end, code)
        child.start()
        os.close(write_end)
        received = os.read(read_end, 100)
        child.join()
    finally:
        os.close(read_end)
    return received.decode()


class ConnectionWriter(multiprocessing.Process):
    """Sends a code through a connection, which knows how to travel to another process."""

    def __init__(self, end: Connection, code: str) -> None:
        super().__init__(name="Writer")
        self.end = end
        self.code = code

    def run(self) -> None:
        with self.end:
            self.end.send_bytes(self.code.encode())


@program(deterministic(CODE, "a connection takes its descriptor with it"))
def code_through_connection(mp: DefaultContext, *, code: str = CODE) -> str:
    """A subclass of `Process` writes a code through a connection, which reaches its parent under every start method.

    A connection that is pickled while a process starts hands its descriptor over: as it is under fork and spawn,
    through the server's socket under forkserver. This is the portable form of writing to an `os.pipe`, on Windows
    too.
    """
    receiver, sender = mp.Pipe(duplex=False)
    with receiver:
        child = ConnectionWriter(sender, code)
        child.start()
        sender.close()
        received = receiver.recv_bytes()
        child.join()
    return received.decode()


if __name__ == "__main__":
    from bench.demos.script import show

    show()
