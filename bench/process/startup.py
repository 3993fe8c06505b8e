"""What every Python of a cell does first, where the cell asks for it; a `.pth` file in the cell imports this module.

Sets the start method that `multiprocessing` uses unless told otherwise. Only the default's default is set: the
program's own `set_start_method()` still succeeds, as it would without us.
"""

from __future__ import annotations

import os
import sys

from bench.process.agreed import COMPLAINTS, COVERAGE, GIL, ISLAND, MAIN, METHOD, SEEN, STACKS, STARTS


def set_default_method(method: str) -> None:
    """Make `method` the default start method of this process, leaving it open to be set by the program."""
    from multiprocessing import context

    # These two are private, and the same on CPython 3.8 to 3.15 and PyPy; tests hold it under each.
    context._default_context._default_context = context._concrete_contexts[method]  # type: ignore[attr-defined]  # private, see above


def prepare(root: str, method: str, seed: int) -> None:
    """Make this process the main process of a sample or group, before its target is imported.

    Args:
        root: the folder that the target is imported from; empty where it is found without.
        method: the start method.
        seed: of `random`.
    """
    import random

    random.seed(seed)
    set_default_method(method)
    if root and root not in sys.path:
        sys.path.insert(0, root)


def _is_helper() -> bool:
    # Children started by `multiprocessing` are given their start method by it; trackers and servers need none.
    return any("from multiprocessing." in argument for argument in sys.orig_argv[1:4])


def _is_tracker() -> bool:
    return any("resource_tracker" in argument for argument in sys.orig_argv[1:4])


def apply() -> None:
    """Do what the environment asks for."""
    if (method := os.environ.get(METHOD)) and not _is_helper():
        set_default_method(method)
    if (count := os.environ.get(SEEN, "")).isdecimal():
        from bench.process.seen import install as install_count

        install_count(int(count))
    if path := os.environ.get(GIL):
        from bench.process.gil import install as watch_lock

        watch_lock(path)
    if path := os.environ.get(STACKS):
        from bench.process.dumping import install

        install(path)
    if (folder := os.environ.get(ISLAND)) and _is_tracker():
        from bench.process import complaints

        complaints.install(os.path.join(folder, COMPLAINTS))
    if (path := os.environ.get(STARTS)) and MAIN not in os.environ and not _is_tracker():
        from bench.process import starting

        starting.install(path, timing_imports=_is_helper())
    if (path := os.environ.get(COVERAGE)) and not _is_tracker():
        from bench.process import measuring

        measuring.start(path)


apply()
