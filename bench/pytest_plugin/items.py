"""Items: a program or scenario under one start method in one mode, observed in the item's setup, judged in its call.

The name of an item has its mode unless that is repeat, whatever was asked for: `race[spawn]`, `Race[spawn-stress]`.
One of several targets with parameters has them too: `counts[workers=4][spawn]`.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.outcomes import Failed

import bench
from bench.declared import actors_of, defined_in, targets_of
from bench.errors import BenchError, UsageError
from bench.modes import modes_of, observer, why_none
from bench.outcomes import Conditions
from bench.process.cpus import cpu_count
from bench.pytest_plugin import settings
from bench.record import Judged, dump
from bench.sampling import TIMED, Mode, Sampling, parse_modes
from bench.targets import Found, place_of_file
from bench.verdict import to_judged

LINE = "bench_line"
"""The attribute of a report that holds a record line, as text: pytest-xdist passes on values of simple types alone."""


class Forbidden(Failed):
    """A forbidden outcome was observed: the test fails."""

    __module__ = "builtins"  # as pytest has it, so that its short summary names the class alone

    def __init__(self, text: str) -> None:
        super().__init__(text, pytrace=False)


class Unknown(Failed):
    """There is no verdict: the test is an error, since that is not a failure."""

    __module__ = "builtins"

    def __init__(self, text: str) -> None:
        super().__init__(text, pytrace=False)


class ProgramItem(pytest.Item):
    """A program or scenario under one start method in one mode."""

    is_bench_program = True

    def __init__(
        self, *, function: FunctionType | type, found: Found, method: str, mode: Mode, explored_too: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.obj = function  # conditions of skipif marks are evaluated with its globals
        self.found = found
        self.method = method
        self.mode = mode
        self.explored_too = explored_too
        self.judged: Judged | None = None
        own = [pytest.mark.bench_program.mark, *([pytest.mark.bench_scenario.mark] if actors_of(found.program) else [])]
        marks = [*own, *getattr(function, "pytestmark", ())]
        self.own_markers.extend(marks)
        self.keywords.update({mark.name: mark for mark in marks})

    def setup(self) -> None:
        """Observe the program or scenario.

        Raises:
            Unknown: if there is no verdict.
        """
        super().setup()
        self.judged = None  # of an earlier try, where another plugin reruns it
        if not modes_of(self.found.program, [self.mode]):
            pytest.skip(why_none([self.mode]))
        try:
            self.judged = _observe(self.found, self.method, self.mode, settings.read(self.config))
        except BenchError as error:
            raise Unknown(str(error)) from None
        if self.judged.verdict == "unknown" and self.explored_too:
            pytest.skip(f"explore decides, since {self.judged.why}")  # unless it cannot: that is its own item's error
        if self.judged.verdict == "unknown":
            raise Unknown(self._text(self.judged))

    def runtest(self) -> None:
        """Judge what was observed.

        Raises:
            Forbidden: if a forbidden outcome was observed.
        """
        if self.judged is not None and self.judged.verdict == "fail":
            raise Forbidden(self._text(self.judged))

    def _text(self, judged: Judged) -> str:
        from bench.pytest_plugin.texts import account

        return account(judged, self._again(judged))

    def _again(self, judged: Judged) -> str:
        """Return the command that takes the first forbidden sample again, from the folder pytest was started in."""
        bad = [one for one in judged.outcomes if one.grade == "forbidden"]
        shown = bad or judged.outcomes
        witness = shown[0].witness if shown else {}
        asked = settings.read(self.config).sampling
        seed = number if isinstance(number := witness.get("seed"), int) else asked.seed  # a schedule needs none
        if self.mode in TIMED:
            seconds = float(round(max(judged.seconds, 1)))
            once = Sampling((self.mode,), None, seconds, asked.deadline_s, seed)
        else:
            once = Sampling((), 1, None, asked.deadline_s, seed)
        return shlex.join(["pytest", *self._arguments(), *once.to_arguments("--bench-")])

    def _arguments(self) -> list[str]:
        if self.config.option.pyargs:
            return ["--pyargs", f"{self.found.place.module}::{self.name}"]
        mode = self.config.getoption("importmode")
        return [
            f"{os.path.relpath(self.path, self.config.invocation_params.dir)}::{self.name}",
            *([] if mode == "prepend" else ["--import-mode", mode]),
        ]

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the place for pytest's reports."""
        return self.path, self.found.program.line - 1, self.name


def items_of(
    collector: pytest.Module | pytest.Class, name: str, function: FunctionType | type
) -> list[pytest.Item] | None:
    """Return the items of a program or scenario; none where the module only imports it from the one it stands in."""
    targets = targets_of(function)
    if not targets:
        return None
    first = targets[0]
    at = f"{first.file}:{first.line}"
    if not isinstance(collector, pytest.Module):
        raise collector.CollectError(f"{at}: {first.name} is in a class; a program stands in its module")
    if (first.module, first.declared_name) != (collector.obj.__name__, name):
        return []
    marks = [*getattr(function, "pytestmark", ()), *collector.iter_markers()]
    if any(mark.name == "parametrize" for mark in marks):
        raise collector.CollectError(f"{at}: parametrize has no effect on {name}; declare it with parameters={{...}}")
    place = place_of_file(collector.path)
    read = settings.read(collector.config)
    asked = _marked_modes(name, marks) or read.sampling.modes
    modes = modes_of(first, asked) or asked
    return [
        ProgramItem.from_parent(
            collector,
            name=_name(target.name, method, mode),
            function=function,
            found=Found(replace(target, module=place.module), place),  # pytest's import modes name modules otherwise
            method=method,
            mode=mode,
            explored_too=mode == "stress" and "explore" in modes,
        )
        for target in targets
        for mode in modes
        for method in read.methods or settings.platform_methods()
    ]


def _name(name: str, method: str, mode: Mode) -> str:
    return f"{name}[{method}]" if mode == "repeat" else f"{name}[{method}-{mode}]"


def _marked_modes(name: str, marks: Iterable[pytest.Mark]) -> tuple[Mode, ...]:
    """Return the modes that the first mark `bench_mode` names; none where there is no such mark."""
    mark = next((mark for mark in marks if mark.name == "bench_mode"), None)
    return () if mark is None else parse_modes(map(str, mark.args or (None,)), f"{name}: the mark bench_mode")


def mistake_in(module: ModuleType) -> str | None:
    """Return the mistake in the declarations of a module taken together, or `None`."""
    try:
        nested = [program for program in defined_in(module) if "." in program.name]
    except UsageError as error:
        return str(error)
    return next((f"{p.file}:{p.line}: {p.name} is in a class; a program stands in its module" for p in nested), None)


def _observe(found: Found, method: str, mode: Mode, asked: settings.Settings) -> Judged:
    with _exported_path():
        observation = observer(mode)(
            found,
            method=method,
            cell=asked.cell,
            **asked.sampling.of_mode(mode, asked.budgets_s.get(mode)).keywords(),
        )
    conditions = Conditions(method, platform.python_version(), cpu_count())
    judged = to_judged(found.program.expectations, observation, conditions)
    return _with_schedules(judged, found, asked) if mode == "explore" else judged


def _with_schedules(judged: Judged, found: Found, asked: settings.Settings) -> Judged:
    """Return the observation with the schedules of its findings; the host writes the files of those of a cell."""
    from bench.explore.findings.files import name_schedules, save_schedules

    judged = name_schedules(judged, found, python=platform.python_version(), pythonpath=_added_to_path())
    return save_schedules(judged, asked.out) if asked.records is None or asked.out is not None else judged


@contextlib.contextmanager
def _exported_path() -> Iterator[None]:
    """Export the session's import path: samples then import from `pythonpath`, and from the folders of conftests."""
    before = os.environ.get("PYTHONPATH")
    added = _added_to_path()
    if added:
        os.environ["PYTHONPATH"] = os.pathsep.join([*added, *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = before


def _added_to_path() -> list[str]:
    """Return the folders on the import path besides those that every interpreter has.

    Those are known by where they are: a worker of pytest-xdist starts with the path that its controller ended up with.
    """
    import site
    import sysconfig

    own = {*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")), *site.getsitepackages()}
    own |= {site.getusersitepackages(), str(Path(sys.executable).parent)}
    libraries = [Path(one) for one in own if one]
    added = [Path(one or ".").absolute() for one in sys.path if not one.endswith(".zip")]
    return [
        str(one)
        for one in dict.fromkeys(added)
        if one.name != "lib-dynload" and one not in libraries and one.is_dir() and not _shadows_bench(one)
    ]


def _shadows_bench(folder: Path) -> bool:
    """Return whether a folder has another `bench`, which a sample would import in place of this one."""
    found = [folder / "bench" / "__init__.py", folder / "bench.py"]
    return any(one.exists() and one.resolve() != Path(bench.__file__).resolve() for one in found)


def attach_line(report: pytest.TestReport, item: pytest.Item) -> None:
    """Attach the record line to the first report that comes after the observation."""
    if isinstance(item, ProgramItem) and report.when == "setup" and item.judged is not None:
        setattr(report, LINE, dump(item.judged).decode("utf-8"))
