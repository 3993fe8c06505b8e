"""Virtual environments for cells on this host, in the user's cache folder.

There are two, one on the other. The lower one has pytest, the bench and what the project requires; its name stands for
these. The upper one has the project itself, where something is built from it, and a copy of its files that cells run
in; its name stands for these files too. A change of the source so installs nothing again but the project.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import bench
from bench.cells import Python
from bench.errors import Unavailable
from bench.matrix.discovery import Interpreter, find
from bench.matrix.engines.base import Ready, Refused
from bench.matrix.install import NOTHING, Install, NotInstalled, host
from bench.matrix.install.output import HINT
from bench.process.agreed import METHOD
from bench.process.folders import cache_folder

if TYPE_CHECKING:
    from bench.matrix.images import Project

REQUIREMENT = "pytest>=8"
KEPT = 2
"""How many environments of one project, Python and kind stay; older ones go when a new one is made."""

_STARTUP = f'import os; os.environ.get("{METHOD}") and __import__("bench.process.startup")\n'
_DONE = "forkbench-ready"
_COPY = "project"
_HELD: dict[Path, int] = {}


def prepare(
    python: Python, project: Project | None, progress: Callable[[str], None], *, folder: Path | None = None
) -> Ready | Refused:
    """Return an environment of this host's interpreter with pytest, the bench and what the project needs.

    Args:
        python: which Python.
        project: the project, if there is one.
        progress: called with one line before an environment is made.
        folder: where environments are kept; `None` means the user's cache folder.
    """
    if python.variant:
        return Refused(python, f"{python} is an image, and this host's processes run in none; use --engine docker")
    found = find(python)
    if found is None:
        return Refused(python, f"no Python {python} on this host; install it, or use --engine docker")
    places = folder or cache_folder(os.environ) / "venvs"
    try:
        lower, note = _lower(places, python, found, project, progress)
    except (Unavailable, OSError) as error:
        return Refused(python, f"no environment of {found.path} with {REQUIREMENT}: {error}", _output(error))
    try:
        upper = lower if project is None or not project.copied else _upper(places, python, lower, project, progress)
    except (Unavailable, OSError) as error:
        return Refused(python, f"Python {found.version}: {error}", _output(error))
    cwd = None if project is None else str(upper / _COPY if project.copied else project.root)
    return Ready(python, str(upper / "bin" / "python"), f"{found.version} at {found.path}{note}", cwd, upper != lower)


def _output(error: Exception) -> str:
    return error.output if isinstance(error, NotInstalled) else ""


def _lower(
    places: Path, python: Python, found: Interpreter, project: Project | None, progress: Callable[[str], None]
) -> tuple[Path, str]:
    """Return the environment with pytest, the bench and the requirements, and a note on how it came about."""
    install = NOTHING if project is None else project.install
    parts = [str(found.path), found.version, str(_package()), REQUIREMENT, _STARTUP]
    if install.requirements or install.wheels:
        assert project is not None
        parts += [str(project.root), *install.requirements, str(install.wheels or "")]
        if install.needs_files:
            parts.append(_digest(project))
    place = _place(places, python, project if len(parts) > 5 else None, parts)
    with _alone(place):
        if not (place / _DONE).is_file():
            progress(f"environment for Python {found.version}")
            note = _make(place, found, project, install)
            (place / _DONE).write_text(note)
            _remove_superseded(place)
        _hold(place)
        return place, (place / _DONE).read_text()


def _upper(places: Path, python: Python, lower: Path, project: Project, progress: Callable[[str], None]) -> Path:
    """Return the environment with the project and the copy of its files."""
    place = _place(places, python, project, [str(lower), repr(project.install), _digest(project)], "-copy")
    with _alone(place):
        if not (place / _DONE).is_file():
            if project.install.builds:
                progress(f"{python}: building the project")
            _make_upper(place, lower, project, project.install)
            (place / _DONE).touch()
            _remove_superseded(place)
        _hold(place)
    return place


def _place(places: Path, python: Python, project: Project | None, parts: list[str], kind: str = "") -> Path:
    whose = f"-{project.key}" if project is not None else ""
    return places / f"{python.tag}{whose}{kind}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"


def _digest(project: Project) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(project.content().items()):
        data = content.encode() if isinstance(content, str) else content
        mark = "link" if isinstance(content, str) else str(os.access(project.root / name, os.X_OK))
        digest.update(f"{name}\0{mark}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def _package() -> Path:
    return Path(bench.__file__).resolve().parent


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Lock a place against other runs; the kernel drops the lock when this process dies."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hold(place: Path) -> None:
    """Hold an environment until this process ends, so that no other one removes it as superseded."""
    if place not in _HELD:
        _HELD[place] = os.open(place / _DONE, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(_HELD[place], fcntl.LOCK_SH)


def _remove_superseded(place: Path) -> None:
    """Remove older environments of the same project, Python and kind that nobody holds."""
    kind = re.sub(r"-[0-9a-f]{12}$", "", place.name)
    same = [one for one in place.parent.glob(f"{kind}-*") if re.fullmatch(r"[0-9a-f]{12}", one.name[len(kind) + 1 :])]
    if kind.count("-") == 0:  # without a project: one for each version of the bench, which are few
        return
    for one in sorted(same, key=lambda one: -one.stat().st_mtime)[KEPT:]:
        with contextlib.suppress(OSError), (one / _DONE).open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(one)
            one.with_suffix(".lock").unlink(missing_ok=True)


def _make(place: Path, found: Interpreter, project: Project | None, install: Install) -> str:
    shutil.rmtree(place, ignore_errors=True)
    python = host.virtualenv(found.path, place)
    site = _site(python)
    # A link and not a path entry: the environment that the bench itself is in may have packages of another Python.
    (site / "bench").symlink_to(_package(), target_is_directory=True)
    (site / "forkbench.pth").write_text(_STARTUP)
    wanted = [REQUIREMENT]
    if install.requirements:
        assert project is not None
        wanted += ["-r", str(_requirements(place, project, install))]
    try:
        command = [str(python), "-m", "pip", "install", "--quiet", *wanted]
        host.run(command, "pip", host.pip_variables(install), cwd=place)
    except NotInstalled:
        if install.requirements or not _is_this(python):
            raise
        return _borrow(site)
    return ""


def _requirements(place: Path, project: Project, install: Install) -> Path:
    """Write the requirements as a file; paths in it are those of a copy, which a build may write to."""
    copy = place / "requirements"
    if install.needs_files:
        host.write_files(project.content(), copy, project.root)
    copy.mkdir(exist_ok=True)
    lines = [
        re.sub(r"^(-c |(?:-e|--editable)[\s=]+)?(?=\.|(?<=-c ))", rf"\g<1>{copy}/", one) for one in install.requirements
    ]
    file = place / "requirements.txt"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def _make_upper(place: Path, lower: Path, project: Project, install: Install) -> None:
    shutil.rmtree(place, ignore_errors=True)
    python = host.virtualenv(lower / "bin" / "python", place, "--no-seed")
    site, below = _site(python), _site(lower / "bin" / "python")
    (site / "forkbench-below.pth").write_text(f"import site; site.addsitedir({str(below)!r})\n")
    _link_scripts(lower / "bin", place / "bin")
    content = project.content()
    host.write_files(content, place / _COPY, project.root)
    variables = host.pip_variables(install)
    if install.command:
        path = f"{place / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        inside = {"PATH": path, "VIRTUAL_ENV": str(place), **variables}
        host.run(["/bin/sh", "-c", install.command], "`install` failed", inside, cwd=place / _COPY)
    elif install.project:
        scratch, made = place / "scratch", place / "made"
        host.write_files(content, scratch, project.root)
        try:
            host.build_wheel(lower / "bin" / "python", scratch, made, place / "tools", install)
        except NotInstalled as error:
            raise NotInstalled(f"{error}; {HINT}", error.output) from None
        wheel = str(next((made / "wheel").glob("*.whl")))
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        why = "the project cannot be installed"
        host.run([*pip, "--no-deps", "--ignore-installed", wheel], why, variables, cwd=place)
        extras = f"[{','.join(install.extras)}]" if install.extras else ""
        host.run([*pip, f"{wheel}{extras}"], why, variables, cwd=place)
        host.run_make(python, "overlay", str(made), str(place / _COPY), why=why, more=variables)
        for folder in (scratch, made, place / "tools"):
            shutil.rmtree(folder, ignore_errors=True)


def _site(python: Path) -> Path:
    return Path(
        host.run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], "Python").strip()
    )


def _link_scripts(below: Path, here: Path) -> None:
    """Write the lower environment's scripts once more, to be run by the upper one's interpreter."""
    for script in below.iterdir():
        first, newline, rest = script.read_bytes().partition(b"\n") if script.is_file() else (b"", b"", b"")
        if first.startswith(b"#!" + os.fsencode(below)) and not (here / script.name).exists():
            (here / script.name).write_bytes(first.replace(os.fsencode(below), os.fsencode(here)) + newline + rest)
            (here / script.name).chmod(0o755)


def _is_this(python: Path) -> bool:
    which = "import sys; print(sys.implementation.name, sys.version_info[:2])"
    return host.run([str(python), "-c", which], "Python").strip() == f"{sys.implementation.name} {sys.version_info[:2]}"


def _borrow(site: Path) -> str:
    """Add the packages of the bench's own environment by a path entry, and return a note that says so."""
    import pytest

    (site / "forkbench-pytest.pth").write_text(f"{Path(pytest.__file__).resolve().parent.parent}\n")
    return ", with the packages of forkbench's own environment, since pip could not install pytest"
