"""Virtual environments for cells on this host: one per interpreter and project, in the user's cache folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import bench
from bench.cells import Python
from bench.matrix.discovery import Interpreter, find
from bench.matrix.engines.base import Ready, Refused
from bench.process.agreed import METHOD
from bench.process.folders import cache_folder

if TYPE_CHECKING:
    from bench.matrix.images import Project

REQUIREMENT = "pytest>=8"
_STARTUP = f'import os; os.environ.get("{METHOD}") and __import__("bench.process.startup")\n'
_DONE = "forkbench-ready"
_BUILD_S = 600.0


class Trouble(Exception):
    """A step of making an environment failed; the message is its last line."""


def prepare(
    python: Python, project: Project | None, progress: Callable[[str], None], *, folder: Path | None = None
) -> Ready | Refused:
    """Return an environment of this host's interpreter with pytest, the bench and the project's requirements.

    Args:
        python: which Python.
        project: the project, if there is one.
        progress: called with one line before an environment is made.
        folder: where environments are kept; `None` means the user's cache folder.
    """
    found = find(python)
    if found is None:
        return Refused(python, f"no Python {python} on this host; install it, or use --engine docker")
    place = (folder or cache_folder(os.environ) / "venvs") / f"{python.tag}-{_key(found, project)}"
    try:
        with _alone(place):
            if not (place / _DONE).is_file():
                progress(f"environment for Python {found.version}")
                note = _make(place, found, project)
                (place / _DONE).write_text(note)
            note = (place / _DONE).read_text()
    except (Trouble, OSError) as error:
        return Refused(python, f"no environment of {found.path} with {REQUIREMENT}: {error}")
    cwd = None if project is None else str(project.root)
    return Ready(python, str(place / "bin" / "python"), f"{found.version} at {found.path}{note}", cwd)


def _key(found: Interpreter, project: Project | None) -> str:
    parts = [str(found.path), found.version, str(_package()), REQUIREMENT, _STARTUP]
    if project is not None and project.requirements:
        parts += [str(project.root), *project.requirement_lines()]
    if project is not None and project.installs_itself:
        parts += [hashlib.sha256(_bytes(content)).hexdigest() for _, content in sorted(project.content().items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _package() -> Path:
    return Path(bench.__file__).resolve().parent


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Lock a place against other runs; the kernel drops the lock when this process dies."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(place: Path, found: Interpreter, project: Project | None) -> str:
    shutil.rmtree(place, ignore_errors=True)
    _run([sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "-p", str(found.path), str(place)])
    python = place / "bin" / "python"
    site = Path(_run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    # A link and not a path entry: the environment that the bench itself is in may have packages of another Python.
    (site / "bench").symlink_to(_package(), target_is_directory=True)
    (site / "forkbench.pth").write_text(_STARTUP)
    wanted = [REQUIREMENT, *(word for line in _lines(project) for word in shlex.split(line))]
    try:
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], project)
    except Trouble:
        if len(wanted) > 1 or not _is_this(python):
            raise
        return _borrow(site)
    return ""


def _lines(project: Project | None) -> list[str]:
    return [] if project is None else project.requirement_lines()


def _is_this(python: Path) -> bool:
    which = "import sys; print(sys.implementation.name, sys.version_info[:2])"
    return _run([str(python), "-c", which]).strip() == f"{sys.implementation.name} {sys.version_info[:2]}"


def _borrow(site: Path) -> str:
    """Add the packages of the bench's own environment by a path entry, and return a note that says so."""
    import pytest

    (site / "forkbench-pytest.pth").write_text(f"{Path(pytest.__file__).resolve().parent.parent}\n")
    return ", with the packages of forkbench's own environment, since pip could not install pytest"


def _run(command: list[str], project: Project | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_BUILD_S,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=project.root if project is not None else None,
        )
    except subprocess.TimeoutExpired:
        raise Trouble(f"{Path(command[0]).name} took more than {_BUILD_S:g} s") from None
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise Trouble(next((line for line in reversed(output) if "ERROR" in line), output[-1]).strip())
    return done.stdout
