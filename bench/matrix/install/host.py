"""Building on this host: virtual environments, and the wheel of a project by an interpreter of this host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.matrix.install import make
from bench.matrix.install.choice import Install
from bench.matrix.install.output import NotInstalled, explanation, last_lines

TIME_S = 1800.0
"""How long a step of an installation may take."""

_MISLEADING = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")


def virtualenv(interpreter: Path, place: Path, *options: str) -> Path:
    """Make a virtual environment, and return its interpreter.

    Raises:
        NotInstalled: if it cannot be made.
    """
    command = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", *options]
    run([*command, "-p", str(interpreter), str(place)], "the environment cannot be made")
    return place / "bin" / "python"


def pip_variables(install: Install | None) -> dict[str, str]:
    """Return the environment variables for pip: those of the build, and the folder of wheels in place of an index."""
    found = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if install is not None:
        found |= dict(install.variables)
        if install.wheels is not None:
            found |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(install.wheels)}
    return found


def write_files(files: Mapping[str, bytes | str], folder: Path, source: Path) -> None:
    """Write a project's files below a folder; a text is the target of a link, and what is executable stays so."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
            if os.access(source / name, os.X_OK):
                path.chmod(0o755)


def build_wheel(python: Path, source: Path, made: Path, tools: Path, install: Install) -> None:
    """Build the wheel of the project in `source`, which the build may write to, into `made`.

    Raises:
        NotInstalled: if its requirements cannot be had, or it does not build.
    """
    variables = pip_variables(install)
    if install.build and not tools.is_dir():
        command = [str(python), "-m", "pip", "install", "--quiet", "--target", str(tools), *install.build]
        run(command, "what its build requires cannot be installed", variables)
    run_make(python, "wheel", str(source), str(made), str(tools), why="the project does not build", more=variables)


def run_make(python: Path, *words: str, why: str, more: Mapping[str, str]) -> None:
    """Run a step of the script `make`.

    Raises:
        NotInstalled: if it fails.
    """
    run([str(python), str(Path(make.__file__)), *words], why, more)


def run(command: list[str], why: str, more: Mapping[str, str] | None = None, *, cwd: Path | None = None) -> str:
    """Run a command of an installation, and return what it printed.

    Raises:
        NotInstalled: if it fails; the message begins with `why`.
    """
    kept = {name: text for name, text in os.environ.items() if name not in _MISLEADING}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_S,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=cwd,
            env={**kept, **(more or {})},
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{why}: {Path(command[0]).name} took more than {TIME_S:g} s") from None
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}"
        reason = explanation(said) or f"{Path(command[0]).name} ended with {done.returncode}"
        raise NotInstalled(f"{why}: {reason}", last_lines(said))
    return done.stdout
