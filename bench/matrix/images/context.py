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
from bench.matrix.install import NOTHING, Install

HOST_ONLY = ("cli", "matrix", "testing")
"""Packages of the bench that nothing in a cell imports; `.dockerignore` names the same ones."""

NEVER = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "__pycache__", "node_modules", ".eggs", "bench-runs"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".idea", ".DS_Store"}
)
"""Names that are never part of a project, with git or without."""

RECORDED = ("cells", "project.sha256")
"""What lies beside a `run.json` of the bench: from the first cell on, and from the start on."""

PACKAGED = Path(__file__).with_name("Dockerfile")
"""Where the wheel has the Dockerfile; a checkout has it in `docker/`."""

MTIME = 1_577_836_800
"""One modification time for every file that is copied in (2020-01-01), so that the same content is the same layer."""


@dataclass(frozen=True)
class Project:
    """A user's project to copy into images at /project.

    `include` are patterns of paths below `root`, such as `src` or `tests/*.py`; none means every file that git would
    not ignore. Files that match a pattern of `exclude` are left out. `install` is what is installed for it. Cells run
    in a copy where `copied` is set, with the local engine too.
    """

    root: Path
    include: tuple[str, ...] = ()
    install: Install = NOTHING
    exclude: tuple[str, ...] = ()
    copied: bool = False

    @property
    def key(self) -> str:
        """A short name for the project, by its folder; it marks what was made for it."""
        return hashlib.sha256(os.fsencode(self.root.resolve())).hexdigest()[:12]

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
        # Records that `--out` puts into the project would make each run's files others than the last one's.
        runs = {name.removesuffix("run.json") for name in chosen if name.endswith("/run.json")}
        runs = {folder for folder in runs if any((self.root / folder / one).exists() for one in RECORDED)}
        chosen = [name for name in chosen if not any(name.startswith(folder) for folder in runs)]
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
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    if done.returncode or not names:  # nothing: a folder that a repository around it ignores, such as an unpacked sdist
        return None
    # A submodule is listed as its folder; a repository that only lies there has a slash at the end, and stays out.
    modules = [name for name in names if not name.endswith("/") and (root / name).is_dir()]
    modules = [name for name in modules if not (root / name).is_symlink()]
    inner = [f"{module}/{name}" for module in modules for name in _git_files(root / module) or _walked(root / module)]
    return [name for name in names if name not in modules] + inner


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
