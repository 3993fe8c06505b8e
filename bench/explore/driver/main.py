"""The main module of an exploration: explores a target in a fresh interpreter, and journals what it finds.

Children under spawn and forkserver import it too, which hangs the points into them. It is run by its path, with its
orders as one Python literal.
"""

from __future__ import annotations

import ast
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if sys.path and sys.path[0] == _HERE:  # as -P does from Python 3.11 on
    del sys.path[0]
try:
    import bench
except ModuleNotFoundError:  # the one who runs us found it by a path of its own
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(_HERE))))
    import bench
from bench.process import dumping, journal  # noqa: E402  # now that it can be found

_FOLDER = os.environ.get(journal.VARIABLE)
if _FOLDER:
    bench.GRADED_HERE = False
    dumping.install(os.environ.get(dumping.VARIABLE, os.devnull))
    from bench.explore.runtime.board import EVENTS

    if EVENTS in os.environ:  # a program is explored, which is heard of as in mode repeat
        from bench.process import instrument

        instrument.install(os.environ[EVENTS])
    from bench.explore.points import install

    install()


def main() -> None:
    """Explore what the argument orders."""
    if not _FOLDER or len(sys.argv) != 2:
        sys.exit("bench.explore.driver.main explores for the bench; start it with `bench explore`")
    orders = ast.literal_eval(sys.argv.pop())
    from bench.explore.driver.exploration import run

    run(_FOLDER, orders)


if __name__ == "__main__":
    main()
