"""Coverage over cells: the data of all cells put together, which lines only some of them ran, and the reports."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cells import parse_cell
from bench.matrix.run.coverage import FOLDER
from bench.outcomes import METHODS
from bench.process.measuring import CHILDREN, IN_IMAGE
from bench.report.lines import Line, Span, counted, line

if TYPE_CHECKING:
    from coverage import Coverage, CoverageData

Lines = Mapping[str, Mapping[int, frozenset[str]]]
"""Of each file, the lines that ran, each with the contexts that it ran in."""

MOST = 5
"""Files that the report names; the list in the run's folder has all."""

_OF_USERS = (".coveragerc", "pyproject.toml", "setup.cfg", "tox.ini")


@dataclass(frozen=True)
class Covered:
    """What ran where: `total` is the share of statements that ran, in percent, of `statements`.

    `only` are, by start method, the lines of each file that ran under it alone; `never_in_child` those that ran, and in
    no child. `missing` names the cells of which there is no data.
    """

    total: float
    statements: int
    only: Mapping[str, Mapping[str, Sequence[int]]]
    never_in_child: Mapping[str, Sequence[int]]
    ran: int
    missing: Sequence[str] = ()


def only_under(lines: Lines) -> dict[str, dict[str, list[int]]]:
    """Return the lines that ran under one start method alone; none where only one was measured."""
    measured = {_method(context) for file in lines.values() for found in file.values() for context in found}
    if len(measured) < 2:
        return {}
    only: dict[str, dict[str, list[int]]] = {}
    for name, file in lines.items():
        for number, contexts in sorted(file.items()):
            methods = {_method(context) for context in contexts}
            if len(methods) == 1:
                only.setdefault(methods.pop(), {}).setdefault(name, []).append(number)
    return {method: only[method] for method in METHODS if method in only}


def never_in_child(lines: Lines) -> dict[str, list[int]]:
    """Return the lines that ran, and in no child of any cell."""
    never = {
        name: [n for n, contexts in sorted(file.items()) if not any(one.endswith(CHILDREN) for one in contexts)]
        for name, file in lines.items()
    }
    return {name: numbers for name, numbers in never.items() if numbers}


def _method(context: str) -> str:
    return parse_cell(context.removesuffix(CHILDREN)).method


def ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in short: `3-5, 9`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in found)


def on_host(path: str, root: Path) -> Path | None:
    """Return the project's file that a cell calls `path`, also where it is installed; `None` if it is none of it."""
    given = Path(path)
    if given.is_relative_to(IN_IMAGE):
        found = [root / given.relative_to(IN_IMAGE)]
    elif "site-packages" in given.parts:
        cut = len(given.parts) - given.parts[::-1].index("site-packages")
        found = [root.joinpath(*place, *given.parts[cut:]) for place in ((), ("src",))]
    else:
        found = [given] if given.is_relative_to(root) else []
    return next((one for one in found if one.is_file()), None)


def cover(folder: Path, root: Path, cells: Sequence[str]) -> Covered | None:
    """Put the data of a run's cells together, write the reports into its folder, and return what they show.

    `coverage/` then holds `.coverage`, `coverage.lcov`, `html/index.html`, and as text `total.txt`, `only-under.txt`
    and `never-in-a-child.txt`. What `[tool.coverage.report]` of the project leaves out, the reports leave out.

    Args:
        folder: the run's folder.
        root: the project's folder.
        cells: the cells that ran.

    Returns:
        `None` if no cell has data.
    """
    into = folder / FOLDER
    with contextlib.ExitStack() as opened:  # their connections to databases are not closed by themselves
        together, measured = _together(into, root)
        opened.callback(together.close, force=True)
        if not measured:
            return None
        cov = _opened(into / ".coverage", root)
        opened.callback(cov.get_data().close, force=True)
        lines = _lines(together, root)
        total, text = _reports(cov, into, [str(root / name) for name in lines])
        (into / "total.txt").write_text(text, encoding="utf-8")
        covered = Covered(
            total,
            sum(len(cov.analysis2(str(root / name))[1]) for name in lines),
            only_under(lines),
            never_in_child(lines),
            sum(map(len, lines.values())),
            [cell for cell in cells if cell not in measured],
        )
        (into / "only-under.txt").write_text("".join(_only_rows(covered)), encoding="utf-8")
        (into / "never-in-a-child.txt").write_text("".join(_rows(covered.never_in_child)), encoding="utf-8")
        return covered


def _together(into: Path, root: Path) -> tuple[CoverageData, set[str]]:
    """Return the data of all cells in one file, with paths of this host, and the cells of which there is some."""
    from coverage import CoverageData
    from coverage.exceptions import CoverageException

    (into / ".coverage").unlink(missing_ok=True)
    together = CoverageData(str(into / ".coverage"))
    measured = set()
    for path in sorted(into.glob("*.data")):
        data = CoverageData(str(path))
        try:
            data.read()
        except CoverageException:
            data.close(force=True)
            continue  # the disk was full, or somebody else wrote there: the cell is named as one without data
        places = {name: on_host(name, root) for name in data.measured_files()}
        data.purge_files([name for name, place in places.items() if place is None])
        together.update(data, map_path=lambda name, places=places: str(places.get(name) or name))  # type: ignore[misc]  # a default binds the loop variable
        data.close(force=True)
        measured.add(path.name.rsplit(".", 2)[0])
    return together, measured


def _opened(data: Path, root: Path) -> Coverage:
    """Return the reporter, which goes by the project's own settings where they can be read here."""
    from coverage import Coverage
    from coverage.exceptions import CoverageException

    for name in _OF_USERS:
        if (root / name).is_file():
            with contextlib.suppress(CoverageException):
                cov = Coverage(data_file=str(data), config_file=str(root / name))
                if name == ".coveragerc" or cov.config.config_files_read:
                    cov.load()
                    return cov
    cov = Coverage(data_file=str(data), config_file=False)
    cov.load()
    return cov


def _reports(cov: Coverage, into: Path, files: Sequence[str]) -> tuple[float, str]:
    """Write the reports on some files, all that are left after `purge_files`, which empties files and leaves them."""
    from coverage.exceptions import NoDataError

    text = io.StringIO()
    cov.set_option("report:fail_under", 0)
    if not files:
        return 0.0, "no line of the project ran\n"
    try:
        total = cov.report(files, file=text, ignore_errors=True)
        cov.lcov_report(files, outfile=str(into / "coverage.lcov"), ignore_errors=True)
        cov.html_report(files, directory=str(into / "html"), show_contexts=True, ignore_errors=True, title="forkbench")
    except NoDataError:
        return 0.0, "no line of the project ran\n"
    return total, text.getvalue()


def _lines(data: CoverageData, root: Path) -> dict[str, dict[int, frozenset[str]]]:
    found = {}
    for name in sorted(data.measured_files()):
        if not data.lines(name):
            continue
        by_line = {
            number: frozenset(filter(None, contexts)) for number, contexts in data.contexts_by_lineno(name).items()
        }
        found[str(Path(name).relative_to(root))] = by_line
    return found


def _rows(files: Mapping[str, Sequence[int]]) -> Iterator[str]:
    yield from (f"{name}: {ranges(numbers)}\n" for name, numbers in files.items())


def _only_rows(covered: Covered) -> Iterator[str]:
    for method, files in covered.only.items():
        yield f"only under {method}\n"
        yield from (f"  {row}" for row in _rows(files))


def coverage_lines(covered: Covered | None, folder: Path) -> list[Line]:
    """Return what a run shows of its coverage."""
    if covered is None:
        return [line(Span("Coverage: nothing was measured", "trouble"), "; see the cells' logs"), line()]
    never = sum(map(len, covered.never_in_child.values()))
    return [
        line(Span("Coverage", "bold"), f": {covered.total:.1f} % of {counted(covered.statements, 'statement')}"),
        *(one for method, files in covered.only.items() for one in _method_lines(method, files)),
        line(f"  never in a child: {never:,} of {counted(covered.ran, 'line')} that ran"),
        *([line(f"  no data of {', '.join(covered.missing)}")] if covered.missing else []),
        line(f"  {folder / FOLDER}: html/index.html, coverage.lcov, total.txt, only-under.txt, never-in-a-child.txt"),
        line(),
    ]


def _method_lines(method: str, files: Mapping[str, Sequence[int]]) -> Iterator[Line]:
    count = sum(map(len, files.values()))
    yield line(f"  {counted(count, 'line')} ran only under {method}:")
    for row in list(_rows(files))[:MOST]:
        yield line(f"      {row.rstrip()}")
    if len(files) > MOST:
        yield line(f"      and in {counted(len(files) - MOST, 'more file', 'more files')}")
