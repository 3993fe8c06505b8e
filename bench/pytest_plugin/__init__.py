"""The pytest plugin: programs are tests, one for each start method, in any file or module that pytest collects.

- An item *observes* in its setup and is *judged* in its call: a forbidden outcome is a failure; a verdict `unknown`, or
  trouble of the bench itself, is an error and never a pass. An interesting outcome passes with a note.
- `--pyargs package` collects the package's modules too, as far as they declare targets.
- Records go to `--bench-out` or `--bench-records`, written by one process alone: under pytest-xdist the controller.
- Under pytest-xdist a worker that has programs holds CPUs of its own and is pinned to them, from the end of its
  collection to its own end. Suites without programs are left as they are, unless `--bench-lease` asks for it.

Every pytest loads this where forkbench is installed, so what a plain suite does not need is imported late.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest

from bench.errors import UsageError
from bench.pytest_plugin import settings
from bench.pytest_plugin.listening import Listener

if TYPE_CHECKING:
    from bench.pytest_plugin.islands import Marking
    from bench.pytest_plugin.leasing import Leasing

_LEASING: pytest.StashKey[Leasing] = pytest.StashKey()

_DECLARED = "__bench__"  # bench.declared.ATTRIBUTE, known here without importing what it takes
_DEFINED = "__bench_defined__"
_LEFT_OUT = "bench_left_out"  # bench.pytest_plugin.islands.LEFT_OUT, known here without importing that


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    settings.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and open the records."""
    # Not called after the distribution: `-k fork` looks into the names of marks too.
    config.addinivalue_line("markers", "bench_program: a program of forkbench; its plugin adds this.")
    config.addinivalue_line("markers", "bench_scenario: a scenario of forkbench; its plugin adds this.")
    config.addinivalue_line("markers", "bench_mode(*modes): how this scenario is observed, whatever --bench-mode says.")
    read = settings.read(config)
    marking = None if read.marks is None or read.collect_only else _supervised(config, read.marks)
    if settings.is_worker(config):
        return
    settings.share(config, read)
    listener = Listener(config, read, marking)
    listener.open()
    config.pluginmanager.register(listener, "forkbench-listener")


def _supervised(config: pytest.Config, marks: Path) -> Marking:
    """Register the hooks of a pytest that a cell's supervisor watches."""
    from bench.pytest_plugin.islands import Marking

    marking = Marking(config, marks)
    config.pluginmanager.register(marking, "forkbench-island")
    if not getattr(config.option, "tx", None):  # the controller of pytest-xdist runs no test
        from bench.pytest_plugin.attesting import Attest
        from bench.pytest_plugin.watching import Watch

        alone = not settings.is_worker(config)
        config.pluginmanager.register(Attest(marking, os.environ.get("BENCH_START_METHOD", "")), "forkbench-attest")
        config.pluginmanager.register(Watch(marking, alone=alone), "forkbench-watch")
    return marking


def pytest_unconfigure(config: pytest.Config) -> None:
    """Release the CPUs, and remove what was shared with workers."""
    if (leasing := config.stash.get(_LEASING, None)) is not None:
        leasing.release()
    if not settings.is_worker(config):
        settings.unshare(config)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return the number of workers that can lease CPUs, if this run is one of the bench's, else `None`."""
    read = settings.read(config)
    if not read.given:
        from bench.pytest_plugin.packages import names_targets

        if not any(names_targets(config, argument) for argument in config.args):
            return None
    from bench.pytest_plugin.leasing import workers_that_fit

    return workers_that_fit(read)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker that pytest-xdist is about to start what it shares with this process."""
    settings.give(node.config, node.workerinput)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect the modules of a package named with `--pyargs`, though they are not called `test_*.py`."""
    collected = yield
    if collected or not parent.config.option.pyargs or file_path.suffix != ".py":
        return collected
    from bench.pytest_plugin.packages import modules_of_packages

    return modules_of_packages(file_path, parent)


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> list[pytest.Item] | None:
    """Collect the items of a program or a scenario."""
    if not isinstance(obj, (FunctionType, type)) or _DECLARED not in obj.__dict__:
        return None
    from bench.pytest_plugin.items import items_of

    return items_of(collector, name, obj)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Report a mistake in a declaration in one line, with its place."""
    report = yield
    excinfo = getattr(getattr(report, "call", None), "excinfo", None)
    if excinfo is not None and isinstance(excinfo.value, UsageError):
        at = [entry for entry in excinfo.traceback if Path(entry.path) == collector.path]
        report.longrepr = f"{collector.path}:{at[-1].lineno + 1}: {excinfo.value}" if at else str(excinfo.value)
    elif hasattr(report, _LEFT_OUT):  # to look into the module would import it
        return report
    elif report.passed and isinstance(collector, pytest.Module) and _DEFINED in vars(collector.obj):
        from bench.pytest_plugin.items import mistake_in

        if (mistake := mistake_in(collector.obj)) is not None:
            report.outcome, report.longrepr, report.result = "failed", mistake, []
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the tests that are to run again."""
    if (only := settings.read(config).only) is not None:
        from bench.pytest_plugin.selecting import keep_only

        keep_only(config, items, only)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Lease CPUs before anything runs."""
    config = session.config
    read = settings.read(config)
    programs = settings.is_worker(config) and any(map(_is_program, session.items))
    if (read.lease or programs) and not read.collect_only:
        from bench.pytest_plugin.leasing import Leasing

        config.stash[_LEASING] = leasing = Leasing(read, getattr(config, "workerinput", {}))
        leasing.hold()


def _is_program(item: pytest.Item) -> bool:
    return getattr(item, "is_bench_program", False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail an item that was to be pinned where no CPU could be leased.

    Raises:
        Unknown: with the reason.
    """
    leasing = item.config.stash.get(_LEASING, None)
    if leasing is not None and leasing.trouble and (_is_program(item) or leasing.settings.lease):
        from bench.pytest_plugin.items import Unknown

        raise Unknown(leasing.trouble)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach to a report what the records need, which takes it from a worker to the controller."""
    report = yield
    if _is_program(item):
        from bench.pytest_plugin.items import attach_line

        attach_line(report, item)
    elif call.excinfo is not None and report.failed and settings.read(item.config).records_asked:
        from bench.pytest_plugin.signatures import attach_cause

        attach_cause(report, call.excinfo, item.config.rootpath)
    return report


def pytest_report_header(config: pytest.Config) -> str | None:
    """Return the seed and the cell, where the run is one of the bench's by its options."""
    read = settings.read(config)
    return f"forkbench: seed {read.sampling.seed}, cell {read.cell}" if read.given else None
