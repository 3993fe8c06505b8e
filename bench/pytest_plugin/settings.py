"""The plugin's options: their declaration, and the settings that are read from them."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.sampling import Sampling

LOCAL = "local"
"""The name of the host itself as a cell."""

_ADDOPTS = "PYTEST_ADDOPTS"
_NOT_FOR_NESTED = ("--bench-records", "--bench-out", "--bench-only", "--bench-island")
_FOLDER = "bench_lease_folder"
MARKS = "bench_marks"
SESSION = "bench_session"
_GIVEN = "bench_given"
_SHARED = ("bench_seed", "bench_only", _FOLDER, _GIVEN, MARKS, SESSION)
"""What workers of pytest-xdist are given by their controller: it hands on its arguments, and not its options."""

LEASE_TIMEOUT_S = 60.0
"""How long a process waits for CPUs that others hold."""

_OPTIONS: tuple[tuple[str, str, str], ...] = (
    ("--bench-out", "DIR", "write records to DIR/cells/CELL.jsonl as things happen, and DIR/run.json"),
    ("--bench-records", "FD", "write records to this open descriptor"),
    ("--bench-island", "FILE", "mark in this file of a cell's supervisor what is judged"),
    ("--bench-cell", "NAME", f"the cell's name in the records (default: {LOCAL})"),
    ("--bench-samples", "N", "samples of each program (default: its own number, or 2)"),
    ("--bench-seconds", "S", "go on taking samples for so long; with --bench-samples, whichever ends first"),
    ("--bench-deadline", "S", "seconds after which a sample counts as a hang (default: the program's own, or 20)"),
    ("--bench-seed", "N", "seed of everything random (default: a random one, which is printed)"),
    ("--bench-only", "LIST", "run these tests alone, a list that bench matrix --rerun-failed packs"),
    ("--bench-cpus-per-worker", "N", "CPUs that a process leases (default: 1)"),
    ("--bench-lease-timeout", "S", f"how long to wait for CPUs that others hold (default: {LEASE_TIMEOUT_S:g})"),
)


T = TypeVar("T", int, float)


def add_options(parser: pytest.Parser) -> None:
    """Add the options, as text that is checked when pytest is configured."""
    group = parser.getgroup("forkbench", "multi-process programs (forkbench)")
    group.addoption(
        "--start-method",
        action="append",
        default=None,
        metavar="M",
        dest="bench_methods",
        help="run programs under this start method; again for more (default: all that the platform has)",
    )
    group.addoption(
        "--bench-mode",
        action="append",
        default=None,
        metavar="MODE",
        dest="bench_modes",
        help="repeat (the default): fresh interpreters; of scenarios alone, stress: resident actors, explore: every "
        "interleaving; again for more",
    )
    group.addoption(
        "--bench-lease",
        action="store_true",
        default=False,
        help="hold CPUs exclusively and pin every test to them, also in suites without programs (Linux); under "
        "pytest-xdist programs have that without asking",
    )
    group.addoption(
        "--bench-budget",
        action="append",
        default=None,
        metavar="MODE=S",
        dest="bench_budgets",
        help="--bench-seconds of one mode, where that is not given; again for another (default: stress=5, explore=20)",
    )
    for name, metavar, text in _OPTIONS:
        group.addoption(name, metavar=metavar, default=None, help=text)


@dataclass(frozen=True)
class Settings:
    """The options, checked. `methods` is `None` for all that the platform has; `given` is true with any option at all.

    `sampling_given` holds the options that `sampling` is read from. Where that says neither seconds nor samples of a
    mode, `budgets_s` may say its seconds. `only` are the tests to run, `None` meaning all. `marks` is the file in which
    to mark for a supervisor what is judged.
    """

    methods: tuple[str, ...] | None
    sampling_given: Mapping[str, object]
    out: Path | None
    records: int | None
    cell: str
    budgets_s: Mapping[str, float]
    lease: bool
    cpus_per_worker: int
    lease_timeout_s: float
    lease_folder: Path | None
    only: frozenset[str] | None
    marks: Path | None
    collect_only: bool
    given: bool

    @cached_property
    def sampling(self) -> Sampling:
        """How targets are sampled: they are repeated unless something else is asked for."""
        from bench.sampling import Sampling  # not at the top: a plain suite asks for none

        return Sampling.from_arguments(self.sampling_given, "--bench-").with_defaults(Sampling(("repeat",)))

    @property
    def records_asked(self) -> bool:
        """Whether records are to be written."""
        return not self.collect_only and (self.out is not None or self.records is not None)


_SHARED_KEY = "bench_shared"
_KEY = pytest.StashKey[Settings]()


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def read(config: pytest.Config) -> Settings:
    """Return the settings of a session, which are read from its options once.

    Raises:
        pytest.UsageError: if one of them is wrong.
    """
    if _KEY not in config.stash:
        vars(config.option).update(getattr(config, "workerinput", {}).get(_SHARED_KEY, {}))
        try:
            checked = _checked(config)
            if checked.given and not is_worker(config):
                _ = checked.sampling  # read here, so that a wrong option is reported at once
            config.stash[_KEY] = checked
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_KEY]


def _checked(config: pytest.Config) -> Settings:
    option = config.option
    names = [f"bench_{name.removeprefix('--bench-').replace('-', '_')}" for name, _, _ in _OPTIONS]
    names += ["bench_methods", "bench_modes", "bench_budgets", "bench_lease"]
    folder = getattr(option, _FOLDER, None)
    timeout_s = _number(option, "lease_timeout", float, least=0)
    return Settings(
        methods=_methods(option.bench_methods),
        sampling_given=_sampling_given(option),
        out=None if option.bench_out is None else Path(config.invocation_params.dir, option.bench_out),
        records=_records(config),
        cell=_cell(option.bench_cell),
        budgets_s=dict(map(_budget, option.bench_budgets or ())),
        lease=_lease(option),
        cpus_per_worker=_number(option, "cpus_per_worker", int, least=1) or 1,
        lease_timeout_s=LEASE_TIMEOUT_S if timeout_s is None else timeout_s,
        lease_folder=None if folder is None else Path(folder),
        only=None if option.bench_only is None else _only(option.bench_only),
        marks=_marks(option),
        collect_only=bool(option.collectonly),
        given=getattr(option, _GIVEN, any(getattr(option, name) not in (None, False, []) for name in names)),
    )


def _sampling_given(option: argparse.Namespace) -> dict[str, object]:
    """Return the options that say how to sample; the seed is one that differs each time where none is given."""
    seed = random.SystemRandom().randrange(2**32) if option.bench_seed is None else option.bench_seed
    others = {name: getattr(option, f"bench_{name}") for name in ("samples", "seconds", "deadline")}
    return {"seed": seed, "mode": option.bench_modes, **others}


def _only(word: str) -> frozenset[str]:
    from bench.testids import unpack

    return frozenset(unpack(word))


def _number(option: argparse.Namespace, name: str, kind: Callable[[str], T], *, least: float) -> T | None:
    if (text := getattr(option, f"bench_{name}")) is None:
        return None
    from bench.sampling import parse_number

    return parse_number(f"--bench-{name.replace('_', '-')}", text, kind, least=least)


def _budget(text: str) -> tuple[str, float]:
    from bench.sampling import TIMED

    mode, _, seconds = text.partition("=")
    try:
        found = float(seconds)
    except ValueError:
        found = 0.0
    if mode not in TIMED or not 0 < found < math.inf:
        raise UsageError(f"--bench-budget {text!r}: give MODE=SECONDS, for example stress=2")
    return mode, found


def _methods(asked: list[str] | None) -> tuple[str, ...] | None:
    if not asked:
        return None
    from bench.cells import parse_method

    wanted = [parse_method(name) for name in asked]
    has = platform_methods()
    if missing := [name for name in wanted if name not in has]:
        raise UsageError(f"--start-method {missing[0]}: this platform lacks it; it has {', '.join(has)}")
    return tuple(dict.fromkeys(wanted))


def platform_methods() -> tuple[str, ...]:
    """Return the start methods of this platform, in the order in which reports name them."""
    import multiprocessing

    from bench.outcomes import METHODS

    has = multiprocessing.get_all_start_methods()
    return tuple(name for name in METHODS if name in has)


def _cell(name: str | None) -> str:
    if name is None:
        return LOCAL
    if not name or any(char in name for char in "/\\\0") or name.startswith("."):
        raise UsageError(
            f"--bench-cell {name!r}: a cell's name is a file's name too; give one such as py314-spawn-cpu2"
        )
    return name


def _lease(option: object) -> bool:
    asked = bool(getattr(option, "bench_lease", False))
    if asked and not hasattr(os, "sched_setaffinity"):
        raise UsageError("--bench-lease pins to exact CPUs, which needs Linux; leave it out here")
    return asked


def _records(config: pytest.Config) -> int | None:
    descriptor = _number(config.option, "records", int, least=0)
    if descriptor is None or is_worker(config):
        return descriptor  # a worker hands its lines to the controller, and has no such descriptor
    if config.option.bench_island is not None:
        return _of_supervisor(config.option, descriptor)
    try:
        os.fstat(descriptor)
    except OSError:
        if not any(argument.startswith("--bench-records") for argument in config.invocation_params.args):
            return None  # PYTEST_ADDOPTS is for a pytest further out: this one was started without the descriptor
        raise UsageError(f"--bench-records {descriptor}: no descriptor of this number is open") from None
    return descriptor


def _marks(option: argparse.Namespace) -> Path | None:
    """Return the file of a supervisor to mark in, as long as that is there."""
    given = option.bench_island or getattr(option, MARKS, None)
    path = Path(given) if given else None
    return path if path is not None and path.parent.is_dir() else None


def _of_supervisor(option: argparse.Namespace, descriptor: int) -> int | None:
    """Return the descriptor of the records, or one opened anew: a wrapper of pytest may have closed what it was given.

    Under its number there may be something else by now.
    """
    from bench.islands.marks import orders_of

    path = f"/proc/{orders_of(Path(option.bench_island))['supervisor']}/fd/{descriptor}"
    try:
        wanted = os.stat(path)
        with contextlib.suppress(OSError):
            if os.path.samestat(wanted, os.fstat(descriptor)):
                return descriptor
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return None


_ADDOPTS_BEFORE = pytest.StashKey[str]()


def share(config: pytest.Config, settings: Settings) -> None:
    """Share the seed with workers, and keep a pytest that a test starts from writing into this one's records.

    Raises:
        pytest.UsageError: if more workers are asked for than this host has CPUs to lease.
    """
    # A worker has a seed in any case, and so cannot tell whether any option was given.
    config.option.bench_seed = str(settings.sampling_given["seed"])
    setattr(config.option, _GIVEN, settings.given)
    workers = len(getattr(config.option, "tx", None) or ())
    if settings.lease and workers > 1:
        _check_room(workers, settings.cpus_per_worker)
    if settings.records is not None and workers:
        # The CPUs of a cell are leased by whoever started it; its workers share them out among themselves.
        setattr(config.option, _FOLDER, tempfile.mkdtemp(prefix="forkbench-leases-"))
    before = os.environ.get(_ADDOPTS, "")
    if any(name in before for name in _NOT_FOR_NESTED):
        config.stash[_ADDOPTS_BEFORE] = before
        os.environ[_ADDOPTS] = shlex.join(_without_options(_NOT_FOR_NESTED, shlex.split(before)))


def give(config: pytest.Config, workerinput: dict[str, object]) -> None:
    """Give a worker of pytest-xdist what it shares with this controller."""
    found = vars(config.option)
    workerinput[_SHARED_KEY] = {name: found[name] for name in _SHARED if found.get(name) is not None}


def _check_room(workers: int, each: int) -> None:
    from bench.process.cpus import cpu_count  # here, so that a plain suite imports nothing for it

    has = cpu_count()
    if workers * each > has:
        raise pytest.UsageError(
            f"--bench-lease with {workers} workers needs {workers * each} CPUs, and there are {has}; use -n auto"
        )


def _without_options(names: tuple[str, ...], words: list[str]) -> list[str]:
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in names:
            next(rest, None)
        elif word.partition("=")[0] not in names:
            others.append(word)
    return others


def unshare(config: pytest.Config) -> None:
    """Undo what `share` did outside of pytest's own options."""
    if (folder := getattr(config.option, _FOLDER, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if (before := config.stash.get(_ADDOPTS_BEFORE, None)) is not None:
        os.environ[_ADDOPTS] = before
