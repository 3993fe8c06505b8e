"""The main process of a cell: it pins itself, records what it was granted, and runs pytest or the user's command.

Standard output of a cell is its records, one JSON line each, and nothing else; standard error is the log for a person.
The host writes the `end` line, from the exit status and the records.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

from bench.cells import Cell, parse_cell
from bench.errors import UsageError
from bench.granted import granted_otherwise
from bench.modes import CELL_MODES, CELL_SECONDS
from bench.process import build, gil
from bench.process.agreed import GIL, METHOD, MISMATCH, NOT_STARTED, STACKS, STARTS
from bench.process.facts import gather
from bench.process.seen import install_affinity
from bench.record import DescriptorSink, Lock
from bench.sampling import NAMES, Sampling
from bench.targets import DEMOS

_PLUGIN = "bench.pytest_plugin"


@dataclass(frozen=True)
class Orders:
    """What the command line asks for; `sampling` and `only`, a list of tests, go on to the pytest plugin.

    `test_timeout_s` is how long a test of the command may take that says nothing of it; `strict` makes a failure of
    what a test leaves behind.
    """

    cell: Cell
    engine: str
    pin: tuple[int, ...]
    sampling: Sampling
    targets: tuple[str, ...]
    command: tuple[str, ...]
    only: str | None = None
    test_timeout_s: float | None = None
    strict: bool = False
    coverage: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run a cell and return its exit status: that of pytest, unless the cell was not granted what it asks for."""
    try:
        orders = parse(sys.argv[1:] if argv is None else argv)
        records = take_standard_output()
        if orders.pin:
            os.sched_setaffinity(0, orders.pin)
            if orders.cell.seen is not None:
                install_affinity(orders.cell.seen)
        _forbid_core_files()
    except (UsageError, OSError, AttributeError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return NOT_STARTED
    if hasattr(faulthandler, "register") and STACKS not in os.environ:
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    if not _record_facts(orders, records):
        return MISMATCH
    with _lock_attested(orders, records):
        return _run(orders, records)


@contextlib.contextmanager
def _lock_attested(orders: Orders, records: int) -> Iterator[None]:
    """Record at the end of the block whether the lock of a free-threaded Python stayed off in the cell's processes."""
    if not orders.cell.python.free_threaded:
        yield
        return
    path = os.environ[GIL] = os.path.join(tempfile.gettempdir(), f".bench-gil-{os.getpid()}")
    if not orders.command:  # the targets run in this process
        gil.watch(path, ExtensionFileLoader, build.gil_is_on)
    try:
        yield
    finally:
        if not orders.command:
            gil.note_end(path)
        off, on = gil.read(path)
        DescriptorSink(records).write(Lock(orders.cell.name, off, on))


def _run(orders: Orders, records: int) -> int:
    if orders.command and orders.coverage:
        from bench.process.measuring import measured

        with measured(orders.cell.name, records):
            return supervised(orders, records)
    if orders.command:
        return supervised(orders, records)
    return run_pytest(orders, records)


def parse(argv: Sequence[str]) -> Orders:
    """Read the command line.

    Raises:
        UsageError: if the cell's name or a CPU is wrong.
    """
    words, command = list(argv), list[str]()
    if "--" in words:
        cut = words.index("--")
        words, command = words[:cut], words[cut + 1 :]
    parser = argparse.ArgumentParser(prog="python -m bench.inside", description=__doc__)
    parser.add_argument("--cell", required=True)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--pin", default="", help="exact CPU ids, for example 0,1")
    parser.add_argument("--coverage", action="store_true", help="measure which lines the command's processes run")
    parser.add_argument("--only", help="a packed list of the tests to run")
    parser.add_argument("--test-timeout", type=float, help="seconds that a test of the command may take")
    parser.add_argument("--strict-leaks", action="store_true", help="fail tests that leave something behind")
    for name in NAMES:  # those of which there may be several, again for more
        parser.add_argument(f"--{name}", action="append" if name == "mode" else "store")
    parser.add_argument("targets", nargs="*")
    found = parser.parse_args(words)
    sampling = Sampling.from_arguments(vars(found))
    if not command:  # a command's pytest has modes of its own
        sampling = sampling.with_defaults(Sampling(CELL_MODES))
    return Orders(
        parse_cell(found.cell),
        found.engine,
        _ids(found.pin),
        sampling,
        tuple(found.targets),
        tuple(command),
        found.only,
        found.test_timeout,
        found.strict_leaks,
        found.coverage,
    )


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise UsageError(f"--pin {text!r}: give exact CPU ids, for example 0,1") from None


def take_standard_output() -> int:
    """Return a descriptor of standard output for the records alone; prints go to standard error from here on."""
    sys.stdout.flush()
    records = os.dup(1)
    os.dup2(2, 1)
    return records


def _forbid_core_files() -> None:
    """Set the limit of core files to 0: a program that crashes on purpose leaves none."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _record_facts(orders: Orders, records: int) -> bool:
    cell = orders.cell
    facts = gather(
        cell.name,
        method_asked=cell.method,
        cpus_asked=cell.cpus if cell.quota is None else None,
        engine=orders.engine,
        seed=orders.sampling.seed,
        seen=cell.seen,
    )
    DescriptorSink(records).write(facts)
    if (trouble := granted_otherwise(facts, cell)) is not None:
        sys.stderr.write(f"bench: this cell was granted {trouble}\n")
    return trouble is None


def plugin_options(orders: Orders, records: int) -> list[str]:
    """Return the options by which pytest writes its records to an open descriptor."""
    return [
        "-p",
        _plugin_name(),
        "--start-method",
        orders.cell.method,
        "--bench-records",
        str(records),
        "--bench-cell",
        orders.cell.name,
        *(word for mode, most_s in CELL_SECONDS.items() for word in ("--bench-budget", f"{mode}={most_s:g}")),
        *orders.sampling.to_arguments("--bench-"),
        *(("--bench-only", orders.only) if orders.only is not None else ()),
    ]


def _plugin_name() -> str:
    # An installed forkbench is loaded by its entry point, and pytest refuses the same module under a second name.
    from importlib.metadata import entry_points

    installed = [entry.name for entry in entry_points(group="pytest11") if entry.value == _PLUGIN]
    return installed[0] if installed else _PLUGIN


def supervised(orders: Orders, records: int) -> int:
    """Run the user's command under supervision, and return its exit status.

    A pytest that it is, or starts, finds the records' descriptor in its options.
    """
    from bench.islands.supervisor import Orders as Supervised
    from bench.islands.supervisor import supervise

    os.environ[METHOD] = orders.cell.method
    os.environ[STARTS] = os.path.join(tempfile.gettempdir(), f".bench-starts-{os.getpid()}")

    def options(marks: Path) -> list[str]:
        cache = ["-o", f"cache_dir={marks.parent / 'cache'}"]  # the project's own may be on a disk that nobody writes
        # One word: pytest takes a path that stands alone for one of those whose common folder is the root of the ids.
        return [*plugin_options(orders, records), *cache, f"--bench-island={marks}"]

    return supervise(
        Supervised(
            orders.cell.name, orders.command, records, options, deadline_s=orders.test_timeout_s, strict=orders.strict
        )
    )


def run_pytest(orders: Orders, records: int) -> int:
    """Run the targets, or the demos, in this very process."""
    import pytest

    targets = [pytest_target(one) for one in orders.targets or (DEMOS,)]
    return int(
        pytest.main(
            [*plugin_options(orders, records), "-p", "no:cacheprovider", *_configuration(orders), "--pyargs", *targets]
        )
    )


def _configuration(orders: Orders) -> list[str]:
    """Return the options that keep the configuration of the user's project away from the demos."""
    if all(one.split(":")[0].split(".")[:2] == DEMOS.split(".") for one in orders.targets or (DEMOS,)):
        return ["-c", os.devnull, "--rootdir", os.getcwd()]
    return []


def pytest_target(target: str) -> str:
    """Return the argument by which pytest collects a target: `package.module:Name` becomes `package.module::Name`."""
    module, colon, name = target.partition(":")
    if "::" in target or "/" in target or not colon or module.endswith(".py"):
        return target
    return f"{module}::{name}"


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
