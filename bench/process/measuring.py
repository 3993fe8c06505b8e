"""Coverage of a cell: coverage.py in every Python of the command, and its data as one line for the host.

Every Python of the cell starts it, as `patch = subprocess` has it; `patch = fork` and `_exit` see to forked children,
and to those that end without cleaning up, and `sigterm` to workers of a pool, which are terminated. The context is the
cell's name, or in a child `CELL (children)`. It is set here, since that patch hands the parent's on.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import os
import signal
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from bench.process.agreed import COVERAGE

TYPE = "coverage"
"""The type of the line that takes the data to the host; it is no record, and goes into a file of its own."""

IN_IMAGE = "/project"
"""The project's folder in an image."""

CONTEXT = "BENCH_COVERAGE_CONTEXT"
"""Environment variable of the context that a Python of the cell measures in."""

CHILDREN = " (children)"
"""What stands behind a cell's name in the context of children."""

_RUNNERS = ("pytest", "py.test", "exec(eval(sys.stdin.readline()))")
"""Words in the command line of what runs tests itself: pytest, and a worker of pytest-xdist."""

_FILE = """[run]
parallel = true
data_file = {folder}/data/coverage
context = ${{{context}}}
sigterm = true
disable_warnings = no-data-collected, module-not-measured, no-sysmon, couldnt-parse, trace-changed
patch =
    fork
    _exit
include =
    {include}
"""


def configuration(folder: Path, project: Path) -> str:
    """Return the configuration file of coverage.py for a cell.

    Args:
        folder: where the data goes.
        project: the project's folder; its packages are measured where they are installed too.
    """
    patterns = [f"{project}/*"]
    for name in sorted(set(_packages(project))):
        patterns += [f"*/site-packages/{name}/*", f"*/site-packages/{name}.py"]
    return _FILE.format(folder=folder, context=CONTEXT, include="\n    ".join(patterns))


def _packages(project: Path) -> Iterator[str]:
    for place in (project, project / "src"):
        for one in place.iterdir() if place.is_dir() else ():
            if one.suffix == ".py" or (one.is_dir() and any(one.glob("*.py"))):
                yield one.stem


def start(rc: str) -> None:
    """Start coverage.py in this Python, by a configuration file; where it is not installed, nothing is measured."""
    context = os.environ.get(CONTEXT, "").removesuffix(CHILDREN)
    in_child = os.environ.get(CONTEXT, "").endswith(CHILDREN) and not _runs_tests()
    os.environ[CONTEXT] = context + (CHILDREN if in_child else "")
    atexit.register(_mask_sigterm, False)
    os.register_at_fork(after_in_child=_forked)  # before coverage's own, which starts another from this configuration
    try:
        os.environ["COVERAGE_PROCESS_START"] = rc
        from coverage import process_startup
    except ImportError:
        return
    else:
        process_startup()
    finally:
        os.environ.pop("COVERAGE_PROCESS_START", None)
        os.environ[CONTEXT] = context + CHILDREN
    # A worker of a pool that ends is terminated at the same time: the data is written in one piece.
    atexit.register(_mask_sigterm, True)


def _runs_tests() -> bool:
    words = sys.orig_argv[:4]
    return any(os.path.basename(word) in _RUNNERS or _RUNNERS[-1] in word for word in words)


def _forked() -> None:
    from coverage import Coverage

    if (parents := Coverage.current()) is not None:
        parents.set_option("run:context", os.environ.get(CONTEXT))


def _mask_sigterm(block: bool) -> None:  # called by atexit
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK if block else signal.SIG_UNBLOCK, {signal.SIGTERM})


@contextlib.contextmanager
def measured(cell: str, records: int) -> Iterator[None]:
    """Measure what the block starts, and send the data to the records, for the host.

    Args:
        cell: the cell's name.
        records: the descriptor of the records.
    """
    with tempfile.TemporaryDirectory(prefix="bench-coverage-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (folder / "data").chmod(0o1777)
        (folder / "rc").write_text(configuration(folder, Path.cwd()))
        os.environ[COVERAGE], os.environ[CONTEXT] = str(folder / "rc"), cell
        yield
        for variable in (COVERAGE, CONTEXT):
            os.environ.pop(variable, None)
        line = {"v": 1, "type": TYPE, "cell": cell, "data": base64.b64encode(_together(folder)).decode()}
        data = memoryview(json.dumps(line).encode() + b"\n")
        while data:
            data = data[os.write(records, data) :]


def _as_in_image(path: str) -> str:
    """Return a path below the working folder, which is the project's or a copy of it, as one in an image."""
    here = f"{Path.cwd()}{os.sep}"
    return f"{IN_IMAGE}/{path.removeprefix(here)}" if path.startswith(here) else path


def _together(folder: Path) -> bytes:
    """Return the data of all processes that have ended, put together: a data file, compressed; empty without any."""
    try:
        from coverage import CoverageData
        from coverage.exceptions import CoverageException
    except ImportError:
        return b""
    path = folder / "together"
    together = CoverageData(str(path))
    for one in sorted((folder / "data").iterdir()):
        data = CoverageData(str(one))
        try:
            data.read()
            if data.measured_files():
                together.update(data, map_path=_as_in_image)
        except CoverageException:
            continue  # its process was killed while it wrote
        finally:
            data.close(force=True)
    together.close(force=True)
    return zlib.compress(path.read_bytes()) if path.exists() else b""
