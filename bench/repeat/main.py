"""The main module of a sample: runs one program in a fresh interpreter and journals what it returned.

Children under spawn and forkserver import this module too (as `__mp_main__`), which hangs the hooks into them. It is
run by its path, and imports little: what it costs, every process of every sample pays.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import threading

_HERE = os.path.dirname(os.path.abspath(__file__))
if sys.path and sys.path[0] == _HERE:  # as -P does from Python 3.11 on
    del sys.path[0]
try:
    import bench
except ModuleNotFoundError:  # the one who runs us found it by a path of its own
    sys.path.append(os.path.dirname(os.path.dirname(_HERE)))
    import bench
from bench.process import dumping, instrument, journal  # noqa: E402  # now that it can be found

TYPE_CHECKING = False  # as type checkers know it

if TYPE_CHECKING:
    from typing import Any

_FOLDER = os.environ.get(journal.VARIABLE)
if _FOLDER:
    bench.GRADED_HERE = False
    instrument.install(_FOLDER)
    dumping.install(os.environ.get(dumping.VARIABLE, os.devnull))


def main() -> None:
    """Run what the arguments name: root of the import path (or nothing), module, name, method, seed, any actors."""
    if not _FOLDER or len(sys.argv) < 6:
        sys.exit("bench.repeat.main runs one sample for the bench; start it with `bench run`")
    root, module, name, method, seed, *actors = sys.argv[1:]
    del sys.argv[1:]
    try:
        returned = _run(root, module, name, method, int(seed), actors)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever the program raised is its outcome
        journal.append(_FOLDER, "raised", name="MainProcess", role="main", **instrument.describe(error))
        raise SystemExit(_print_and_fail()) from None
    journal.append(_FOLDER, "returned", **returned)


def _print_and_fail() -> int:
    import traceback

    traceback.print_exc()
    return 1


def _run(root: str, module: str, name: str, method: str, seed: int, actors: list[str]) -> dict[str, Any]:
    import multiprocessing

    from bench.process.descriptors import kept, open_descriptors
    from bench.process.startup import prepare
    from bench.values import encode

    prepare(root, method, seed)
    function = getattr(importlib.import_module(module), name)
    context = multiprocessing.get_context(method)
    before = open_descriptors().items()
    left: dict[str, list[str]] = {}
    if actors:
        from bench.repeat.acting import play

        observed, left = play(function, actors, context)
    else:
        observed = function(context)
    value = encode(observed)
    del observed, context
    gc.collect()
    gc.collect()  # PyPy runs finalizers of what the first found in the second
    now = open_descriptors()
    new = now.items() - before - kept(now)
    return {"value": value, **left, "threads": _threads(), "descriptors": sorted(new)}


def _threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]


if __name__ == "__main__":
    main()
