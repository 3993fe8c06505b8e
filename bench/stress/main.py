"""The main module of a fork group: runs a scenario's resident actors in a fresh interpreter, and journals the counts.

Children under spawn and forkserver import it too. It is run by its path, with its orders as one Python literal.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if sys.path and sys.path[0] == _HERE:  # as -P does from Python 3.11 on
    del sys.path[0]
try:
    import bench
except ModuleNotFoundError:  # the one who runs us found it by a path of its own
    sys.path.append(os.path.dirname(os.path.dirname(_HERE)))
    import bench
from bench.process import dumping, journal  # noqa: E402  # now that it can be found

_FOLDER = os.environ.get(journal.VARIABLE)
if _FOLDER:
    bench.GRADED_HERE = False
    dumping.install(os.environ.get(dumping.VARIABLE, os.devnull))


def main() -> None:
    """Run the group that the argument orders."""
    if not _FOLDER or len(sys.argv) != 2:
        sys.exit("bench.stress.main runs actors for the bench; start it with `bench run --mode stress`")
    from bench.process.messages import from_argument
    from bench.stress.coordinator import run
    from bench.stress.messages import Orders

    run(_FOLDER, from_argument(sys.argv.pop(), Orders))


if __name__ == "__main__":
    main()
