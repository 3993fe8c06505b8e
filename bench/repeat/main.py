"""The main module of a sample: runs one program in a fresh interpreter and journals what it returned.

`bench.process.main` imports it, in children under spawn and forkserver too. It imports little: what it costs, every
process of every sample pays.
"""

from __future__ import annotations

import gc
import sys
import threading

from bench.process import instrument, journal

TYPE_CHECKING = False  # as type checkers know it

if TYPE_CHECKING:
    from typing import Any


def install(folder: str) -> None:
    """Patch this process so that its starts, ends, exceptions and warnings are journalled in a folder."""
    instrument.install(folder)


def main(folder: str) -> None:
    """Run what the arguments name: root of the import path (or nothing), module, name, method, seed, any actors."""
    root, module, name, method, seed, *actors = sys.argv[1:]
    del sys.argv[1:]
    try:
        returned = _run(root, module, name, method, int(seed), actors)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever the program raised is its outcome
        journal.append(folder, "raised", name="MainProcess", role="main", **instrument.describe(error))
        raise SystemExit(_print_and_fail()) from None
    journal.append(folder, "returned", **returned)


def _print_and_fail() -> int:
    import traceback

    traceback.print_exc()
    return 1


def _run(root: str, module: str, name: str, method: str, seed: int, actors: list[str]) -> dict[str, Any]:
    import multiprocessing

    from bench.parameters import load
    from bench.process.descriptors import handles_of_ending_feeders, open_descriptors, own_of_multiprocessing
    from bench.process.startup import prepare
    from bench.values import encode

    prepare(root, method, seed)
    function = load(module, name)
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
    ending = handles_of_ending_feeders()
    now = {number: target for number, target in open_descriptors().items() if number not in ending}
    new = now.items() - before - own_of_multiprocessing(now)
    return {"value": value, **left, "threads": _threads(), "descriptors": sorted(new)}


def _threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
