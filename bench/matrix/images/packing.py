"""The host's own interpreter as the files of an image: where neither the engine nor a registry has the official one.

The interpreter goes to /usr/local, as in the official images, with the shared libraries that it and its extension
modules need, a shell, and the few files that a C library looks for. Of the host's site-packages only pip is packed.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from bench.cells import Python
from bench.errors import Unavailable
from bench.matrix.discovery import Interpreter

FORMAT = "1"
"""Version of the packing; a change of the number packs an interpreter again that was packed before."""

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

TOOLS = (
    *("sh", "cat", "cp", "echo", "env", "false", "head", "id", "ln", "ls", "mkdir", "mv", "nproc", "rm", "sleep"),
    *("tail", "touch", "true", "uname", "wc"),
)
"""The commands that `shell=True` and scripts of test suites call most; the rest of a distribution is not packed."""

LDCONFIG = Path("/sbin/ldconfig")
"""`ctypes.util.find_library` calls it; the build runs it once, for its cache."""

LOADED_BY_NAME = (
    *("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2", "libstdc++.so.6"),
    *("libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1", "libutil.so.1"),
)
"""Libraries that the interpreter may not be linked to, and that are loaded by name.

The first end a thread, look up hosts, and are C++'s; wheels (manylinux) take the others for granted.
"""

LEFT_OUT = re.compile(
    r"(^|/)(__pycache__/.*\.opt-[12]\.pyc|tests?|idle_test|idlelib|tkinter|turtledemo|site-packages|dist-packages)(/|$)"
    r"|^(config-[^/]+|turtle\.py|EXTERNALLY-MANAGED)(/|$)"
    r"|(^|/)_?(tkinter|test\w+|xxlimited\w*|ctypes_test)\.[^/]*\.so$|\.(a|o|exe)$"
)
"""Paths below the standard library that no cell needs: test suites, Tk, static libraries, other optimisation levels."""

_PIP_SCRIPT = b"#!/usr/local/bin/python3\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
_TEXTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
}
_FOLDERS = {"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777, "proc": 0o755, "sys": 0o755, "dev": 0o755, "run": 0o755}


@dataclass(frozen=True, order=True)
class Entry:
    """One entry of an image at `name`: a copy of the file `source`, the bytes `content`, a `link`, or else a folder."""

    name: str
    mode: int
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None


@dataclass(frozen=True)
class Linked:
    """The libraries that the dynamic loader finds for one file, and the names of those that it misses."""

    found: tuple[Path, ...]
    missing: tuple[str, ...]


def parse_ldd(text: str, files: Sequence[str]) -> dict[str, Linked]:
    """Read the output of `ldd FILE...`: for each file the libraries that it is linked to, none for a static one.

    For a single file `ldd` prints no heading.
    """
    blocks: dict[str, list[str]] = {name: [] for name in files}
    current = files[0]
    for line in text.splitlines():
        if line[:1].strip() and line.rstrip().endswith(":") and line.rstrip()[:-1] in blocks:
            current = line.rstrip()[:-1]
        else:
            blocks[current].append(line.strip())
    return {name: _linked(lines) for name, lines in blocks.items()}


def _linked(lines: Iterable[str]) -> Linked:
    found, missing = [], []
    for line in lines:
        name, _, target = line.partition(" => ")
        where = (target or name).split(" (")[0].strip()
        if target.startswith("not found"):
            missing.append(name)
        elif where.startswith("/"):
            found.append(Path(where))
    return Linked(tuple(found), tuple(missing))


def stamp(interpreter: Interpreter) -> str:
    """Return a digest of an interpreter's state by a few `stat` calls, to recognise one that was packed before."""
    places = [interpreter.path, interpreter.stdlib, interpreter.stdlib / "lib-dynload", interpreter.stdlib / "os.py"]
    digest = hashlib.sha256(f"{FORMAT} {interpreter} {TOOLS} {LOADED_BY_NAME} {LEFT_OUT.pattern}".encode())
    for place in filter(Path.exists, places):
        state = place.stat()
        digest.update(f"{place} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def refuse_unpackable(python: Python) -> None:
    """Raise an error for an interpreter that cannot be packed.

    Raises:
        Unavailable: if it is no CPython, or this host is no Linux.
    """
    if sys.platform != "linux":
        raise Unavailable(f"{python}: only interpreters of Linux can be packed; pull {python.image} into the engine")
    if python.implementation != "cpython":
        raise Unavailable(f"{python}: only CPython is packed from the host; pull {python.image} into the engine")


def entries_of(python: Python, interpreter: Interpreter) -> list[Entry]:
    """Return the entries of an image with this interpreter, sorted by name.

    Raises:
        Unavailable: if it is no CPython of Linux with pip and a dynamic loader.
    """
    refuse_unpackable(python)
    binary = interpreter.path.resolve()
    standard = list(_standard_library(interpreter, f"usr/local/lib/{_name(python)}"))
    extensions = [entry.source for entry in standard if entry.source and ".so" in entry.source.suffixes]
    tools = [Path(found).resolve() for tool in TOOLS if (found := shutil.which(tool, path="/bin:/usr/bin"))]
    linked = _ask_ldd([binary, *tools, *extensions])
    if linked[binary].missing:
        raise Unavailable(f"{python}: {binary} misses {', '.join(linked[binary].missing)}; reinstall it")
    broken = {path for path in extensions if linked[path].missing}
    libraries = {library for path, item in linked.items() if path not in broken for library in item.found}
    entries = [entry for entry in standard if entry.source not in broken]
    entries += _libraries(libraries) + _binaries(python, binary) + _shell() + _pip(python, interpreter) + _furniture()
    return sorted({entry.name: entry for entry in entries}.values())


def _name(python: Python) -> str:
    """Return the name of an interpreter's executable, and of the folder of its library."""
    return f"python{python.version}{'t' if python.free_threaded else ''}"


def _ask_ldd(files: Sequence[Path]) -> dict[Path, Linked]:
    command = shutil.which("ldd")
    if command is None:
        raise Unavailable("packing an interpreter of this host needs `ldd`; pull the official images instead")
    names = [str(path) for path in files]
    # The exit status is 1 when one of the files is static, which is no error here.
    done = subprocess.run([command, *names], capture_output=True, text=True, check=False, timeout=60)
    return {Path(name): linked for name, linked in parse_ldd(done.stdout, names).items()}


def _standard_library(interpreter: Interpreter, target: str) -> Iterator[Entry]:
    for path in _files_below(interpreter.stdlib):
        relative = path.relative_to(interpreter.stdlib).as_posix()
        if not LEFT_OUT.search(relative) and path.exists():
            yield _copy(path, f"{target}/{relative}")
    header = next(interpreter.prefix.glob(f"include/{interpreter.stdlib.name}*/pyconfig.h"), None)
    if header is not None:
        yield _copy(header, f"usr/local/include/{header.parent.name}/pyconfig.h")


def _files_below(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(where, name)


def _copy(path: Path, name: str) -> Entry:
    executable = path.stat().st_mode & stat.S_IXUSR
    return Entry(name.lstrip("/"), 0o755 if executable else 0o644, source=path.resolve())


def _libraries(found: Iterable[Path]) -> list[Entry]:
    """Put each library beside the C library, where the loader looks without a cache; the loader stays where it is."""
    libraries = sorted(found)
    home = next((path.parent for path in libraries if path.name.startswith("libc.")), Path("/lib"))
    named = [home / name for name in LOADED_BY_NAME if (home / name).exists()]
    loaders = {path for path in libraries if path.name.startswith("ld-")}
    entries = [_copy(path, str(path)) for path in loaders]
    entries.append(Entry("etc/ld.so.conf", 0o644, content=f"{home}\n".encode()))
    if LDCONFIG.is_file():
        entries.append(Entry(str(LDCONFIG).lstrip("/"), 0o755, source=LDCONFIG.resolve()))
    return entries + [_copy(path, str(home / path.name)) for path in {*libraries, *named} - loaders]


def _binaries(python: Python, binary: Path) -> list[Entry]:
    name = _name(python)
    links = [Entry(f"usr/local/bin/{alias}", 0o777, link=name) for alias in ("python", "python3")]
    return [Entry(f"usr/local/bin/{name}", 0o755, source=binary), *links]


def _shell() -> list[Entry]:
    found = {tool: shutil.which(tool, path="/bin:/usr/bin") for tool in TOOLS}
    entries = [Entry(f"bin/{tool}", 0o755, source=Path(path).resolve()) for tool, path in found.items() if path]
    return [*entries, Entry("usr/bin/env", 0o777, link="/bin/env")]


def _pip(python: Python, interpreter: Interpreter) -> list[Entry]:
    folders = [interpreter.stdlib / "site-packages", interpreter.stdlib.parent / "python3" / "dist-packages"]
    home = next((folder for folder in folders if (folder / "pip" / "__main__.py").is_file()), None)
    if home is None:
        raise Unavailable(f"{python}: {interpreter.path} has no pip to put into an image; install pip for it")
    # Debian's interpreters look into dist-packages where others look into site-packages.
    target = f"usr/local/lib/{_name(python)}/{home.name}"
    roots = [home / "pip", *home.glob("pip-*.dist-info")]
    entries = [_copy(path, f"{target}/{path.relative_to(home)}") for root in roots for path in _files_below(root)]
    scripts = [Entry(f"usr/local/bin/{name}", 0o755, content=_PIP_SCRIPT) for name in ("pip", "pip3")]
    return [entry for entry in entries if not entry.name.endswith((".opt-1.pyc", ".opt-2.pyc", ".exe"))] + scripts


def _furniture() -> list[Entry]:
    texts = [Entry(name, 0o644, content=content) for name, content in _TEXTS.items()]
    folders = [Entry(name, mode) for name, mode in _FOLDERS.items()]
    return texts + folders + [_copy(path, str(path)) for path in _zones(Path("/usr/share/zoneinfo"))]


def _zones(folder: Path) -> Iterator[Path]:
    twice = {"posix", "right"}
    return (path for path in _files_below(folder) if path.relative_to(folder).parts[0] not in twice and path.exists())


def digest_of(entries: Iterable[Entry]) -> str:
    """Return a digest of entries and their content; it is the same for the same files on any host."""
    digest = hashlib.sha256(FORMAT.encode())
    for entry in entries:
        data = entry.source.read_bytes() if entry.source else entry.content or b""
        digest.update(f"{entry.name}\0{entry.mode:o}\0{entry.link}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]


def write_tar(entries: Iterable[Entry], file: IO[bytes]) -> None:
    """Write entries as the layer of an image; modification times stay, since compiled modules are checked by them."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        made: set[str] = set()
        for entry in entries:
            for parent in reversed(PurePosixPath(entry.name).parents[:-1]):
                if str(parent) not in made and str(parent) not in _FOLDERS:
                    made.add(str(parent))
                    archive.addfile(_header(Entry(str(parent), 0o755)))
            with _open(entry) as data:
                archive.addfile(_header(entry), data)


def _open(entry: Entry) -> IO[bytes]:
    return entry.source.open("rb") if entry.source else io.BytesIO(entry.content or b"")


def _header(entry: Entry) -> tarfile.TarInfo:
    header = tarfile.TarInfo(entry.name)
    header.mode = entry.mode
    if entry.source is not None:
        state = entry.source.stat()
        header.size, header.mtime = state.st_size, int(state.st_mtime)
    elif entry.content is not None:
        header.size = len(entry.content)
    elif entry.link is not None:
        header.type, header.linkname = tarfile.SYMTYPE, entry.link
    else:
        header.type = tarfile.DIRTYPE
    return header
