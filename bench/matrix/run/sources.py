"""The project's files as a run found them: a list of digests in the run's folder, as `sha256sum --check` reads it.

A run that is resumed, or whose failed tests run again, is of one project: what changed in between is named.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.matrix.images import Project

FILE = "project.sha256"
"""The name of the list, in a run's folder."""


def digests(project: Project, *, without: Path) -> dict[str, str]:
    """Return the digest of each file of a project by its name, but of those below the folder `without`.

    Raises:
        UsageError: if a file cannot be read.
    """
    root, aside = project.root.resolve(), without.resolve()
    return {
        name: hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
        for name, content in project.content().items()
        if not (root / name).is_relative_to(aside)
    }


def write_sources(folder: Path, project: Project | None) -> None:
    """Write the list of a project's files into a run's folder; without a project there is none."""
    if project is None:
        return
    text = "".join(f"{_row(name, digest)}\n" for name, digest in digests(project, without=folder).items())
    (folder / FILE).write_text(text, encoding="utf-8", errors="surrogateescape")


def changed_since(folder: Path, project: Project | None) -> str | None:
    """Return the first file that is not as a run found it, in words; `None` if all are, or the run has no list.

    A new file counts if it is Python's: others may be what the tests themselves have written.
    """
    if project is None or not (folder / FILE).is_file():
        return None
    now = digests(project, without=folder)
    then = _read(folder / FILE)
    for name, digest in then.items():
        if now.get(name) != digest:
            return f"{name} has changed" if name in now else f"{name} is gone"
    return next((f"{name} is new" for name in now if name.endswith(".py") and name not in then), None)


def _row(name: str, digest: str) -> str:
    """Return a line of the list; sha256sum marks one in which the name has a newline or a backslash by a backslash."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{digest}  {name}" if escaped == name else f"\\{digest}  {escaped}"


def _read(path: Path) -> Mapping[str, str]:
    rows = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    found = {name: digest for row in rows if row for digest, _, name in [row.partition("  ")]}
    return {_unescaped(name) if digest[0] == "\\" else name: digest.lstrip("\\") for name, digest in found.items()}


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], name)
