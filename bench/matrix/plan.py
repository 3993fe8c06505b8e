"""The plan of a matrix: which cells there are, which run, and why the others do not. Pure: it starts nothing."""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar

from bench.cells import (
    DEFAULT_PYTHONS,
    FREE_THREADED,
    PYTHONS,
    Cell,
    Python,
    parse_cell,
    parse_cpus,
    parse_method,
    parse_python,
    parse_quota,
    parse_seen,
)
from bench.errors import NothingToRun, UsageError
from bench.matrix.patterns import expanded, matching
from bench.matrix.placement import cpus_needed
from bench.matrix.rules import Own, Rules, own_from_json
from bench.outcomes import METHODS
from bench.record import CellStatus
from bench.sampling import Sampling
from bench.values import Json

T = TypeVar("T")

DEFAULT_CPUS = (1, 2, 4)

Decision = Literal["run", "unavailable", "excluded"]


@dataclass(frozen=True)
class Axes:
    """The axes of a matrix; `asked` names those that a person gave: their cells are required, others may be missing."""

    pythons: tuple[Python, ...] = tuple(map(parse_python, DEFAULT_PYTHONS))
    methods: tuple[str, ...] = METHODS
    cpus: tuple[int, ...] = DEFAULT_CPUS
    quotas: tuple[float, ...] = ()
    seen: tuple[int | None, ...] = (None,)
    asked: tuple[str, ...] = ()

    def cells(self) -> tuple[Cell, ...]:
        """Return every cell, ordered by Python, method and size."""
        sizes = [(cpus, None) for cpus in self.cpus] + [(0, quota) for quota in self.quotas]
        return tuple(
            Cell(python, method, cpus, quota, seen)
            for python in self.pythons
            for method in self.methods
            for cpus, quota in sizes
            for seen in self.seen
        )


def parse_axes(
    python: Iterable[str] = (), method: Iterable[str] = (), cpus: Iterable[str] = (), seen: Iterable[str] = ()
) -> Axes:
    """Read the axes from lists such as `3.10,pypy3.11`, `fork,spawn`, `1,2,quota0.5`, `real,8`; empty is the default.

    Raises:
        UsageError: if an entry is unknown.
    """
    pythons, methods, sizes = _entries(python), _entries(method), _entries(cpus)
    whole = [parse_cpus(one) for one in sizes if not one.startswith("quota")]
    default = Axes()
    return Axes(
        _ordered(map(parse_python, pythons), lambda python: python.rank) or default.pythons,
        _ordered(map(parse_method, methods), METHODS.index) or default.methods,
        _ordered(whole, int) if sizes else default.cpus,
        _ordered((parse_quota(one) for one in sizes if one.startswith("quota")), float),
        _ordered(map(parse_seen, _entries(seen)), lambda count: count or 0) or default.seen,
        tuple(name for name, given in (("python", pythons), ("method", methods), ("cpus", sizes)) if given),
    )


def parse_cells(cells: Iterable[str]) -> tuple[Cell, ...]:
    """Read cells by their names, in the order given, each once.

    Raises:
        UsageError: if one is no cell's name.
    """
    return tuple(dict.fromkeys(map(parse_cell, _entries(cells))))


def _entries(texts: Iterable[str]) -> list[str]:
    return [one for text in texts for one in re.split(r"[\s,]+", text) if one]


def _ordered(found: Iterable[T], rank: Callable[[T], Any]) -> tuple[T, ...]:
    return tuple(sorted(set(found), key=rank))


@dataclass(frozen=True)
class Shard:
    """The part `index`, from 1, of `count` parts that together hold every cell once."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Read `I/N`.

    Raises:
        UsageError: unless 1 <= I <= N.
    """
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"shard {text!r}: give I/N with I from 1 to N, for example --shard 1/3")
    return Shard(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Selection:
    """Which cells are wanted: globs over their names, several separated by spaces, `{a,b}` for alternatives.

    An empty `select` means all; `skip` removes cells from those; `shard` is one part of the rest, `None` all parts.
    Parts take about the same time by `durations`, the seconds by cell name of an earlier run; without, they have about
    as many cells.
    """

    select: str = ""
    skip: str = ""
    shard: Shard | None = None
    durations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How each cell runs; `None` leaves a setting to the engine.

    `targets` are programs and scenarios, none meaning the demos; a `command` is run in their place. What `sampling`
    leaves open is left to the cell, or to the pytest that a command starts. `timeout_s` is that of a whole cell; `jobs`
    is the most cells that run at once. `repeat` is how many times a command runs in each cell. `test_timeout_s` is that
    of one test of a command, `None` a share of the cell's; with `strict_leaks` one fails that leaves something behind.
    `coverage` is whether it is measured which lines a command runs.
    """

    targets: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    timeout_s: float = 600.0
    test_timeout_s: float | None = None
    strict_leaks: bool = False
    engine: str = "auto"
    jobs: int | None = None
    memory_bytes: int | None = None
    pids: int | None = None
    shm_bytes: int | None = None
    repeat: int = 1
    coverage: bool = False

    def __post_init__(self) -> None:
        if self.targets and self.command:
            raise UsageError("give programs to run, or a command after --, not both")
        if self.repeat < 1:
            raise UsageError(f"repeat is {self.repeat}; give 1 or more")
        if self.coverage and not self.command:
            raise UsageError("--coverage is for a command after --, such as: -- pytest tests")
        if self.repeat > 1 and not self.command:
            raise UsageError("--repeat is for a command after --; programs are sampled: give --samples")
        for name in ("timeout_s", "test_timeout_s", "jobs", "memory_bytes", "pids", "shm_bytes"):
            number = getattr(self, name)
            if number is not None and not 0 < number < math.inf:
                raise UsageError(f"{name.removesuffix('_s').removesuffix('_bytes')} is {number:g}; give more than 0")


@dataclass(frozen=True)
class Planned:
    """A cell, whether it is to run, and why not.

    `only` are the tests that are to run in it, none meaning all; `own` is what it has in place of the run's settings;
    where it is `required`, a run without a verdict on it does not pass.
    """

    cell: Cell
    decision: Decision
    why: str = ""
    only: tuple[str, ...] = ()
    own: Own = field(default_factory=Own)
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan(Settings):
    """Every cell of a run, also those left out, and how they run; `asked` are the axes that a person gave.

    `shard` is the part of the matrix that the run is, such as `1/3`; `failed_of` names the run whose failed tests it
    runs again. `None` for neither.
    """

    run: str
    cells: tuple[Planned, ...]
    asked: tuple[str, ...] = ()
    shard: str | None = None
    failed_of: str | None = None

    @property
    def to_run(self) -> tuple[Cell, ...]:
        """The cells that are to run, in the plan's order."""
        return tuple(one.cell for one in self.cells if one.decision == "run")

    def only(self, cell: Cell) -> tuple[str, ...]:
        """Return the tests that are to run in a cell, none meaning all."""
        return next((one.only for one in self.cells if one.cell == cell), ())

    def own(self, cell: Cell) -> Own:
        """Return what a cell has in place of the run's settings, these filled in."""
        own = next((one.own for one in self.cells if one.cell == cell), Own())
        return own.over(Own(self.timeout_s, self.memory_bytes, self.shm_bytes, self.pids))


def run_id(at: datetime, token: str) -> str:
    """Return the name of a run: its time, so that names sort, and a token that distinguishes runs of one second."""
    return f"{at:%Y%m%d-%H%M%S}-{token}"


def make_plan(
    cells: Axes | Iterable[Cell],
    *,
    run: str,
    host_cpus: int,
    selection: Selection | None = None,
    settings: Settings | None = None,
    rules: Rules | None = None,
) -> Plan:
    """Decide on every cell of the axes, or on the cells given.

    Args:
        cells: the axes, or cells by themselves (which a person then named, and so requires).
        run: the run's name.
        host_cpus: how many CPUs the engine's host can give.
        selection: which cells are wanted; `None` means all.
        settings: how they run.
        rules: the project's rules; cells that are given by themselves run whatever these leave out.

    Raises:
        UsageError: if a pattern is malformed, or could match no cell whatever the axes.
        NothingToRun: if the selection is valid and leaves no cell; cells that this host cannot run count as left.
    """
    axes = cells if isinstance(cells, Axes) else None
    asked = axes.asked if axes else ("python", "method", "cpus")
    every = axes.cells() if axes else tuple(cells)  # type: ignore[arg-type]  # one of the two is given
    rules = rules or Rules()
    if axes:
        every += rules.added(every)
        _check_rules(rules, every)
    left_out = {cell: why for cell in every if (why := rules.left_out(cell.name))} if axes else {}
    decided = _decided(every, selection or Selection(), host_cpus, left_out)
    planned = tuple(
        replace(one, own=rules.own(one.cell.name), required=rules.requires(one.cell.name)) for one in decided
    )
    chosen = settings or Settings()
    given = {field.name: getattr(chosen, field.name) for field in fields(Settings)}
    shard = None if selection is None or selection.shard is None else str(selection.shard)
    return Plan(**given, run=run, cells=planned, asked=asked, shard=shard)


def failed_again(
    plan: Plan, statuses: Mapping[str, CellStatus], failed: Mapping[str, Sequence[str]], *, run: str
) -> Plan:
    """Return the plan that runs what failed in an earlier run again, and leaves out the cells that passed.

    Args:
        plan: of the earlier run.
        statuses: how its cells ended, by name.
        failed: of the cells that failed by their tests alone, these tests; other cells without a pass run as a whole.
        run: the new run's name.

    Raises:
        NothingToRun: if nothing failed.
    """
    cells = tuple(_again(one, statuses.get(one.cell.name), failed.get(one.cell.name, ())) for one in plan.cells)
    if all(one.decision != "run" for one in cells):
        raise NothingToRun(f"nothing failed in {plan.run}")
    return replace(plan, run=run, cells=cells, failed_of=plan.run)


def _again(one: Planned, status: CellStatus | None, failed: Sequence[str]) -> Planned:
    if one.decision != "run":
        return one
    if status == "pass":
        return Planned(one.cell, "excluded", "it passed in the run whose failures run again")
    return replace(one, why="", only=tuple(failed))  # the reason in run.json is that of its end


def _check_rules(rules: Rules, cells: tuple[Cell, ...]) -> None:
    """Refuse patterns that match nothing: of rules, whatever the axes; of required cells, among the project's axes."""
    _Patterns("cells in [[tool.bench.cells]]:", rules.patterns(), cells)
    required = _Patterns("required in [tool.bench]:", rules.required, cells)
    names = [cell.name for cell in cells]
    for text in required.patterns if rules.adds else ():
        if not any(matching(text, name) for name in names):
            raise UsageError(f"required in [tool.bench]: {text} matches no cell of the matrix{_nearest(text, names)}")


def _decided(
    cells: tuple[Cell, ...], selection: Selection, host_cpus: int, left_out: Mapping[Cell, str]
) -> tuple[Planned, ...]:
    select = _Patterns("--select", selection.select, cells)
    skip = _Patterns("--skip", selection.skip, cells)
    out = dict(left_out)
    if len(out) == len(cells):
        raise NothingToRun("the rules in [[tool.bench.cells]] leave no cell")
    for cell in (cell for cell in cells if cell not in left_out):
        if select and not select.match(cell.name):
            out[cell] = "not in --select"
        elif pattern := skip.match(cell.name):
            out[cell] = f"left out by --skip {pattern}"
    if len(out) == len(cells):
        raise NothingToRun(f"--select and --skip leave none of the {len(cells)} cells{_hint(select, cells)}")
    out.update(_other_shards([cell for cell in cells if cell not in out], selection))
    if len(out) == len(cells):
        raise NothingToRun(f"no cell is left for shard {selection.shard}; use fewer shards")
    return tuple(Planned(cell, "excluded", out[cell]) if cell in out else _runnable(cell, host_cpus) for cell in cells)


def _runnable(cell: Cell, host_cpus: int) -> Planned:
    if (needed := cpus_needed(cell)) > host_cpus:
        return Planned(cell, "unavailable", f"needs {needed} CPUs, and there are {host_cpus}")
    return Planned(cell, "run")


def _other_shards(cells: list[Cell], selection: Selection) -> dict[Cell, str]:
    # Dealt before this host's CPUs are looked at, so that shards on unequal hosts still hold every cell once; and in
    # an order in which Pythons alternate, so that no shard gets all wide cells and each needs few images.
    if (shard := selection.shard) is None:
        return {}
    order = sorted(
        cells, key=lambda c: (cpus_needed(c), c.quota or 0, c.seen or 0, METHODS.index(c.method), c.python.rank)
    )
    part = _by_time(order, shard.count, selection.durations)
    return {cell: f"in shard {part[cell]}/{shard.count}" for cell in cells if part[cell] != shard.index}


def _by_time(order: Sequence[Cell], count: int, durations: Mapping[str, float]) -> dict[Cell, int]:
    """Return the part of each cell: the longest first, each to the part that has the least to do.

    What a cell costs is its CPUs times its seconds; of a cell that has none recorded, the mean of those that have.
    """
    costs = {cell: durations.get(cell.name, 0.0) * cpus_needed(cell) for cell in order}
    known = [cost for cost in costs.values() if cost > 0]
    if not known:
        return {cell: index % count + 1 for index, cell in enumerate(order)}
    mean = sum(known) / len(known)
    loads = [0.0] * count
    part = {}
    for cell in sorted(order, key=lambda c: -(costs[c] or mean)):
        least = loads.index(min(loads))
        part[cell] = least + 1
        loads[least] += costs[cell] or mean
    return part


def _hint(select: _Patterns, cells: tuple[Cell, ...]) -> str:
    elsewhere = next((name for name in _every_name(()) if select.match(name)), None)
    if elsewhere is None or any(select.match(cell.name) for cell in cells):
        return ""
    return f"; {elsewhere} would be one that --python, --method and --cpus leave out"


class _Patterns:
    """The globs of one option; those that no cell's name could ever match are refused."""

    def __init__(self, option: str, text: str, cells: tuple[Cell, ...]) -> None:
        self.patterns = {pattern: expanded(pattern) for pattern in text.split()}
        names = list(_every_name(cells)) if self.patterns else []
        for globs in self.patterns.values():
            for one in globs:
                if not any(fnmatchcase(name, one) for name in names) and not _is_cell(one):
                    raise UsageError(f"{option} {one} matches no cell{_nearest(one, names)}")

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def match(self, name: str) -> str | None:
        """Return the first pattern that matches a cell's name; `None` if none does."""
        found = (text for text, globs in self.patterns.items() if any(fnmatchcase(name, one) for one in globs))
        return next(found, None)


def _is_cell(name: str) -> bool:
    try:
        return bool(parse_cell(name))
    except UsageError:
        return False


def _nearest(pattern: str, names: list[str]) -> str:
    near = difflib.get_close_matches(pattern, names, 1)
    return f"; did you mean {near[0]}?" if near else "; their names look like py314-spawn-cpu2"


def _every_name(cells: tuple[Cell, ...]) -> Iterator[str]:
    """Yield the names of cells of all Pythons and methods, in sizes up to 64, and those of `cells`."""
    own = (cell.size for cell in cells)
    sizes = dict.fromkeys([*own, *(f"cpu{count}" for count in range(1, 65)), "quota0.5", "cpu1-seen8"])
    known = [*map(parse_python, PYTHONS), *(Python("cpython", text, free_threaded=True) for text in FREE_THREADED)]
    pythons = dict.fromkeys([*known, *(cell.python for cell in cells)])
    for python, method, size in itertools.product(pythons, METHODS, sizes):
        yield f"{python.tag}-{method}-{size}"


def to_json(plan: Plan) -> dict[str, Json]:
    """Return the JSON object of a plan, for `run.json`; the fields of its sampling stand among its own."""
    flat = asdict(plan)
    flat |= flat.pop("sampling")
    data = {name: list(item) if isinstance(item, tuple) else item for name, item in flat.items()}
    data["cells"] = [cell_to_json(one) for one in plan.cells]
    return data


def cell_to_json(one: Planned) -> dict[str, Json]:
    """Return the JSON object of a planned cell."""
    about: dict[str, Json] = {"cell": one.cell.name, "decision": one.decision, "why": one.why}
    if one.only:
        about["only"] = list(one.only)
    if own := one.own.to_json():
        about["own"] = own
    if one.required:
        about["required"] = True
    return about


def from_json(data: Mapping[str, Any]) -> Plan:
    """Read a plan back; fields that this version does not know are ignored.

    Raises:
        UsageError: if it does not have the form of a plan.
    """
    try:
        known = {field.name: data[field.name] for field in fields(Plan) if field.name in data}
        for name in ("targets", "command", "asked"):
            known[name] = tuple(known.get(name, ()))
        sampling = {field.name: data[field.name] for field in fields(Sampling) if field.name in data}
        known["sampling"] = Sampling(**{**sampling, "modes": tuple(sampling.get("modes", ()))})
        known["cells"] = tuple(
            Planned(
                parse_cell(one["cell"]),
                one["decision"],
                one.get("why", ""),
                tuple(one.get("only", ())),
                own_from_json(one.get("own", {})),
                bool(one.get("required")),
            )
            for one in data["cells"]
        )
        return Plan(**known)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"a malformed plan: {type(error).__name__} {error}; was run.json edited?") from None
