"""The main module of every sample and group: finds `bench`, then has the mode install what it needs, and run.

It is run by its path. Children under spawn and forkserver import their parent's main module before anything else, so
what a mode installs is in every process of the tree without any file being installed. Each of them pays what is
imported here and by the mode's own main module.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

# This file can be anywhere that its observer found it, also where this interpreter finds no `bench` by itself: then the
# folder around it comes last in the path, where it hides nothing of the program's. The folder of this file, which
# Python puts first before 3.11 (later -P holds it back), would hide the program's own `main` or `groups`.
_HERE = os.path.dirname(os.path.abspath(__file__))
if sys.path and sys.path[0] == _HERE:
    del sys.path[0]
try:
    import bench
except ModuleNotFoundError:
    sys.path.append(os.path.dirname(os.path.dirname(_HERE)))
    import bench
from bench.process import dumping, journal, supervisor  # noqa: E402  # now that it can be found
from bench.process.agreed import MAIN  # noqa: E402  # as above

# The mode is named in the environment, which children inherit: of arguments and globals they have only what the program
# leaves of them. It is imported by name, and so from bytecode, which a module that is run by its path is not.
_FOLDER, _NAME = os.environ.get(journal.VARIABLE), os.environ.get(MAIN)
if _FOLDER and _NAME:
    if __name__ == "__main__":
        supervisor.begin(_FOLDER)
    bench.GRADED_HERE = False
    dumping.install(os.environ.get(dumping.VARIABLE, os.devnull))
    _mode = import_module(_NAME)
    _mode.install(_FOLDER)
    if __name__ == "__main__":
        _mode.main(_FOLDER)
elif __name__ == "__main__":
    sys.exit("this module runs samples and groups for forkbench; start them with `bench run` or `bench explore`")
