"""The files of an image: the bench's own, and those of a user's project that git would not ignore."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import bench
from bench.errors import UsageError

HOST_ONLY = ("cli", "matrix", "testing")
"""Packages of the bench that nothing in a cell imports; `.dockerignore` names the same ones."""

NEVER = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "__pycache__", "node_modules", ".eggs", "bench-runs"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".idea", ".DS_Store"}
)
"""Names that are never part of a project, with git or without."""

PACKAGED = Path(__file__).with_name("Dockerfile")
"""Where the wheel has the Dockerfile; a checkout has it in `docker/`."""

MTIME = 1_577_836_800
"""One modification time for every file that is copied in (2020-01-01), so that the same content is the same layer."""


@dataclass(frozen=True)
class Project:
    """A user's project to copy into images at /project.

    `include` are patterns of paths below `root`, such as `src` or `tests/*.py`; none means every file that git would
    not ignore. Files that match a pattern of `exclude` are left out. `requirements` are lines as in a requirements
    file: `-r FILE` is read, `.` installs the project.
    """

    root: Path
    include: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def files(self) -> list[Path]:
        """List the project's files below its root, sorted.

        Raises:
            UsageError: if the root is no readable folder, or nothing in it is included.
        """
        if not os.access(self.root, os.R_OK | os.X_OK) or not self.root.is_dir():
            raise UsageError(f"{self.root} is no folder that can be read; name the project's folder")
        found = _git_files(self.root)
        names = _walked(self.root) if found is None else found
        chosen = [name for name in names if not NEVER & set(name.split("/")) and not name.endswith(".pyc")]
        kept = sorted({name for name in chosen if self._includes(name) and os.path.lexists(self.root / name)})
        if not kept:
            raise UsageError(f"{self.root}: no file to copy into images; see `include` and .gitignore")
        return [Path(name) for name in kept]

    def content(self) -> dict[str, bytes | str]:
        """Read the project's files by name; a symbolic link is the text of its target.

        Raises:
            UsageError: if a file cannot be read.
        """
        return _read(self.root, self.files())

    @property
    def installs_itself(self) -> bool:
        """Whether pip needs the project's own files: a requirement is a path in it."""
        return any(line.startswith((".", "-e ", "--editable ")) for line in self.requirement_lines())

    def requirement_lines(self) -> list[str]:
        """Return the requirements one by one, those of named requirements files among them.

        Raises:
            UsageError: if a requirements file cannot be read.
        """
        return [line for given in self.requirements for line in _expanded(given, self.root)]

    def _includes(self, name: str) -> bool:
        return (not self.include or _matches(name, self.include)) and not _matches(name, self.exclude)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a file, or a folder that it is in, matches one of the patterns."""
    plain = [pattern.removeprefix("./").rstrip("/") for pattern in patterns]
    return any(one == "." or fnmatch(name, one) or fnmatch(name, f"{one}/*") for one in plain)


@dataclass
class Context:
    """Files of a build, by their names in the context: bytes, or the target of a link; `modes` where not 0644."""

    files: dict[str, bytes | str] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)

    def add(self, folder: str, files: Mapping[str, bytes | str], root: Path | None = None) -> Context:
        """Add files below a folder of the context; those that are executable below `root` are so there too."""
        for name, content in files.items():
            self.files[f"{folder}/{name}"] = content
            if root is not None and isinstance(content, bytes) and os.access(root / name, os.X_OK):
                self.modes[f"{folder}/{name}"] = 0o755
        return self

    def digest(self, *more: str) -> str:
        """Return a digest of the content, and of `more`: whatever else determines the result of the build."""
        digest = hashlib.sha256("\0".join(more).encode())
        for name, content in sorted(self.files.items()):
            data = content.encode() if isinstance(content, str) else content
            mark = "link" if isinstance(content, str) else f"{self.modes.get(name, 0o644):o}"
            digest.update(f"\0{name}\0{mark}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()[:12]

    def tar(self) -> io.BytesIO:
        """Return the context as the archive that an engine builds from; every file is root's and has one time."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, content in sorted(self.files.items()):
                header = tarfile.TarInfo(name)
                header.mtime, header.mode = MTIME, self.modes.get(name, 0o644)
                if isinstance(content, str):
                    header.type, header.linkname = tarfile.SYMTYPE, content
                    archive.addfile(header)
                else:
                    header.size = len(content)
                    archive.addfile(header, io.BytesIO(content))
        buffer.seek(0)
        return buffer


def bench_files() -> dict[str, bytes | str]:
    """Read the bench's own files that a cell needs, by their names below its package."""
    root = Path(bench.__file__).parent
    names = [Path(name) for name in _walked(root) if not name.endswith(".pyc")]
    return _read(root, [name for name in names if name.parts[0].removesuffix(".py") not in HOST_ONLY])


def dockerfile() -> str:
    """Read the Dockerfile, from the installed package or from the checkout."""
    places = (PACKAGED, Path(bench.__file__).parent.parent / "docker" / "Dockerfile")
    return next(path for path in places if path.is_file()).read_text(encoding="utf-8")


def _git_files(root: Path) -> list[str] | None:
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _walked(root: Path) -> list[str]:
    found = []
    for where, folders, names in os.walk(root):
        folders[:] = sorted(folder for folder in folders if folder not in NEVER and not folder.endswith(".egg-info"))
        links = [folder for folder in folders if Path(where, folder).is_symlink()]
        found += [Path(where, name).relative_to(root).as_posix() for name in sorted([*names, *links])]
    return found


def _read(root: Path, names: Iterable[Path]) -> dict[str, bytes | str]:
    content: dict[str, bytes | str] = {}
    for name in names:
        path = root / name
        try:
            if path.is_symlink():
                content[name.as_posix()] = os.fspath(path.readlink())
            elif path.is_file():
                content[name.as_posix()] = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be copied into images: {error.strerror}; make it readable, or `exclude` it"
            ) from error
    return content


def _expanded(given: str, root: Path) -> list[str]:
    line = given.strip()
    for option in ("-r ", "--requirement "):
        if line.startswith(option):
            path = root / line.removeprefix(option).strip()
            try:
                text = path.read_text(encoding="utf-8")
            except OSError as error:
                raise UsageError(f"requirements file {path}: {error.strerror}") from error
            return [inner for each in text.splitlines() for inner in _expanded(each, path.parent)]
    return [line] if line and not line.startswith("#") else []
