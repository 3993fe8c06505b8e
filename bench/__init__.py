"""forkbench: a test bench for programs made of several operating-system processes.

One way through it::

    program / scenario -> repeat | stress | explore -> observation -> verdict -> record -> report
    config -> plan (pure) -> place (leases) -> engine -> records -> report

The folders say which process runs the code; a module imports only from those before it, and `tests/unit/test_layers.py`
holds both::

    words, outcomes, records    called, errors, fingerprints < values, causes, sampling < outcomes, figures < declared,
                                cells, leases < targets < observation < record < verdict
    every process of a sample   process < state
    the three modes             explore (model < search, runtime < findings, points < driver, launch < observe
                                < replay),
                                repeat, stress < modes
    the host alone              matrix (discovery, config, placement < plan < images < engines < run) < report
    the ways in                 pytest_plugin < inside < cli

What runs inside a cell (all but `matrix`, `cli` and most of `report`) needs the standard library and pytest alone.

PYTEST_DONT_REWRITE: pytest rewrites what brings a plugin, and warns of what was imported before it, as this package is
at the start of every Python of a cell; a suite whose warnings are errors would end there.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it, without the 8 ms that importing typing takes

if TYPE_CHECKING:
    from bench.declared import actor as actor
    from bench.declared import program as program
    from bench.declared import scenario as scenario
    from bench.outcomes import (
        acceptable as acceptable,
    )
    from bench.outcomes import (
        crashes as crashes,
    )
    from bench.outcomes import (
        deadlocks as deadlocks,
    )
    from bench.outcomes import (
        deterministic as deterministic,
    )
    from bench.outcomes import (
        forbidden as forbidden,
    )
    from bench.outcomes import (
        hangs as hangs,
    )
    from bench.outcomes import (
        interesting as interesting,
    )
    from bench.outcomes import (
        leaks as leaks,
    )
    from bench.outcomes import (
        racy as racy,
    )
    from bench.outcomes import (
        raises as raises,
    )

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(
        (
            "acceptable",
            "crashes",
            "deadlocks",
            "deterministic",
            "forbidden",
            "hangs",
            "interesting",
            "leaks",
            "racy",
            "raises",
        ),
        "bench.outcomes",
    ),
    **dict.fromkeys(("actor", "program", "scenario"), "bench.declared"),
}

__all__ = [
    "acceptable",
    "actor",
    "crashes",
    "deadlocks",
    "deterministic",
    "forbidden",
    "hangs",
    "interesting",
    "leaks",
    "program",
    "racy",
    "raises",
    "scenario",
]


GRADED_HERE = True
"""Whether this process may grade; the processes of a sample never do, and there the words mean nothing."""


if not TYPE_CHECKING:  # a checker that saw it would take any name for one of this package's

    def __getattr__(name: str) -> object:
        # Every Python of a cell imports this package at its start; only those that use its words pay for them.
        if (home := _HOMES.get(name)) is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(home if GRADED_HERE else "bench.process.words"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # those not yet imported too, for a shell's completion and for documentation
