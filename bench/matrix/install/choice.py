"""The choice of what is installed: from a project's files and its settings to a plan, and the sentence that says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from bench.errors import UsageError
from bench.matrix.install.lines import expanded
from bench.matrix.install.metadata import Metadata, packaged_version, read_metadata
from bench.matrix.install.version import FALLBACK, VARIABLES, asks_version_control

NAMES = ("test", "tests", "testing")
"""How groups, extras and environments are called that hold what tests need."""

LAST_RESORT = ("dev",)
"""Groups and extras that hold it among other things, taken where none of the others is there."""

TEST_FILES = ("*requirements*test*.txt", "*test*requirements*.txt", "requirements/*test*.txt")
DEV_FILES = ("*requirements*dev*.txt", "*dev*requirements*.txt", "requirements/*dev*.txt")
PLAIN_FILES = ("requirements.txt",)

NATIVE = (".c", ".cc", ".cpp", ".cxx", ".pyx", ".f", ".f90", ".rs")
_NOT_BUILT = frozenset({"tests", "test", "testing", "t", "docs", "doc", "examples", "example", "benchmarks", "tools"})
_ITSELF = re.compile(r"(?:(?:-e|--editable)[\s=]+)?\./?(?:\[([^\]]*)\])?")


@dataclass(frozen=True)
class Checkout:
    """A project's files: their names, and the function that returns the text of one, `None` where there is none."""

    names: tuple[str, ...]
    read: Callable[[str], str | None]


@dataclass(frozen=True)
class Asked:
    """What `[tool.bench]` says of the installation; `None` where it says nothing."""

    requirements: tuple[str, ...] | None = None
    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    command: str = ""
    wheels: Path | None = None


@dataclass(frozen=True)
class Install:
    """What is installed for a project.

    `project` is set where the project itself is built and installed, with `extras`. `requirements` are lines for pip,
    `build` those that the build needs. `native` is the first file that a compiler is needed for. `variables` are
    environment variables of the build. `command` stands in place of all this. `why` is one sentence.
    """

    project: bool = False
    extras: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    native: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    command: str = ""
    wheels: Path | None = None
    why: str = "nothing is installed"

    @property
    def builds(self) -> bool:
        """Whether something is built from the project's own files."""
        return self.project or bool(self.command)

    @property
    def needs_files(self) -> bool:
        """Whether a requirement is a path below the project, such as `./libs/x`."""
        return any(re.match(r"((-e|--editable)[\s=]+)?\.|-c ", line) for line in self.requirements)


NOTHING = Install()


@dataclass
class _Taken:
    """What was taken so far, and from where."""

    requirements: list[str] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def choose(checkout: Checkout, asked: Asked = Asked(), *, version: Callable[[], str | None] = lambda: None) -> Install:
    """Return what is installed for a project, by its settings, or else by what its files hold.

    Args:
        checkout: the project's files.
        asked: its settings.
        version: returns the version that version control knows, for a build that asks for it.

    Raises:
        UsageError: if a file that is named cannot be read, or an extra or a group that is named is not there.
    """
    metadata = read_metadata(checkout.read)
    if asked.command:
        why = f"`{asked.command}`, as `install` in [tool.bench] says"
        build = _build(metadata, checkout, version)
        return replace(build, command=asked.command, wheels=asked.wheels, why=why + build.why)
    given = any(one is not None for one in (asked.requirements, asked.extras, asked.groups))
    taken = _by_settings(asked, checkout, metadata) if given else _by_files(checkout, metadata)
    project = metadata.buildable
    if asked.requirements is not None and asked.extras is None and asked.groups is None:
        project = any(_ITSELF.fullmatch(line) for line in taken.requirements)
    own = [found[1] or "" for line in taken.requirements if (found := _ITSELF.fullmatch(line))]
    if own and not metadata.buildable:
        raise UsageError(
            "`requirements` names the project itself, and no pyproject.toml or setup.py says how it is built"
        )
    extras = _unique([*taken.extras, *(name.strip() for text in own for name in text.split(",") if name.strip())])
    lines = [line for line in taken.requirements if not _ITSELF.fullmatch(line)]
    build = _build(metadata, checkout, version) if project else replace(NOTHING, why="")
    if project:
        lines += [*(metadata.dependencies or ()), *(one for name in extras for one in _extra(metadata, name))]
    return replace(
        build,
        project=project,
        extras=extras,
        requirements=_unique(lines),
        wheels=asked.wheels,
        why=_sentence(project, metadata, taken, checkout) + build.why,
    )


def _build(metadata: Metadata, checkout: Checkout, version: Callable[[], str | None]) -> Install:
    """Return what the build of the project takes; `why` is what there is to say of its version."""
    native = next((name for name in checkout.names if _is_native(name)), "")
    variables: tuple[tuple[str, str], ...] = ()
    why = ""
    asking = (*metadata.build, *re.findall(r"use_scm_version|setuptools_scm|\bpbr\b", checkout.read("setup.py") or ""))
    if asks_version_control(one.replace("use_scm_version", "setuptools_scm") for one in asking):
        found = packaged_version(checkout.read) or version() or FALLBACK
        variables = tuple((name, found) for name in VARIABLES)
        why = f"; its version is set to {found}, since cells have no history to take it from"
    return Install(build=_unique(metadata.build), native=native, variables=variables, why=why)


def _is_native(name: str) -> bool:
    *folders, last = name.split("/")
    return last.endswith(NATIVE) and not _NOT_BUILT & set(folders)


def _by_settings(asked: Asked, checkout: Checkout, metadata: Metadata) -> _Taken:
    taken = _Taken()
    for name in asked.groups or ():
        taken.requirements += _group(metadata, name)
    for name in asked.extras or ():
        if metadata.extras and _canonical(name) not in map(_canonical, metadata.extras):
            raise UsageError(f"the project has no extra {name!r}; it has {', '.join(sorted(metadata.extras))}")
        taken.extras.append(name)
    for given in asked.requirements or ():
        taken.requirements += expanded(given, checkout.read)
    named = [key for key in ("requirements", "extras", "groups") if getattr(asked, key) is not None]
    taken.said.append(f"{' and '.join(named)} of [tool.bench]")
    return taken


def _by_files(checkout: Checkout, metadata: Metadata) -> _Taken:
    taken = _Taken()
    for names, files in ((NAMES, TEST_FILES), (LAST_RESORT, DEV_FILES)):
        groups = [name for name in names if name in map(_canonical, metadata.groups)][:1]
        extras = [name for name in names if name in map(_canonical, metadata.extras)][:1]
        for name in groups:
            taken.requirements += _group(metadata, name)
            taken.said.append(f"the group {name}")
        if metadata.buildable:
            taken.extras += extras
            taken.said += [f"the extra {name}" for name in extras]
        if not taken.said and names == NAMES and metadata.tests_require:
            taken.requirements += metadata.tests_require
            taken.said.append("its tests_require")
        if not taken.said:
            for name in _matching(checkout.names, files):
                taken.requirements += expanded(f"-r {name}", checkout.read)
                taken.said.append(name)
        if taken.said:
            break
    if not metadata.buildable:
        for name in _matching(checkout.names, PLAIN_FILES):
            taken.requirements += expanded(f"-r {name}", checkout.read)
            taken.said.append(name)
    return taken


def _matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the files at the root, and in `requirements/`, that match; of the first pattern that any does."""
    near = [name for name in names if name.count("/") == 0 or re.fullmatch(r"requirements/[^/]+", name)]
    for pattern in patterns:
        # A `*` of fnmatch goes beyond a folder, which only the last pattern means.
        found = [name for name in near if fnmatch(name, pattern) and name.count("/") == pattern.count("/")]
        if found:
            return sorted(found, key=len)[:1]
    return []


def _sentence(project: bool, metadata: Metadata, taken: _Taken, checkout: Checkout) -> str:
    itself = f"the project ({_by(metadata, checkout)})" if project else ""
    parts = [part for part in (itself, *taken.said) if part]
    if not taken.said:
        looked = "no group, extra or requirements file is named after tests"
        return f"{itself}; {looked}" if project else f"nothing: no pyproject.toml or setup.py builds it, and {looked}"
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _by(metadata: Metadata, checkout: Checkout) -> str:
    there = [name for name in ("pyproject.toml", "setup.py", "setup.cfg") if checkout.read(name) is not None]
    return f"by its {there[0]}" if there else metadata.name


def _group(metadata: Metadata, name: str) -> list[str]:
    """Return the requirements of a dependency group, those of the groups that it includes among them."""
    from packaging.dependency_groups import resolve_dependency_groups

    if _canonical(name) not in map(_canonical, metadata.groups):
        there = f"it has {', '.join(sorted(metadata.groups))}" if metadata.groups else "it has none"
        raise UsageError(f"the project has no dependency group {name!r}; {there}")
    try:
        return list(resolve_dependency_groups(metadata.groups, name))
    except Exception as error:  # noqa: BLE001  # the library's several errors, in groups of exceptions too
        raise UsageError(f"the dependency group {name!r} cannot be read: {_first(error)}") from None


def _first(error: BaseException) -> str:
    inner = getattr(error, "exceptions", ())
    return _first(inner[0]) if inner else str(error)


def _extra(metadata: Metadata, name: str, above: tuple[str, ...] = ()) -> list[str]:
    """Return the requirements of an extra; of one that names the project with other extras, theirs too."""
    key = _canonical(name)
    lines = next((lines for extra, lines in metadata.extras.items() if _canonical(extra) == key), ())
    found = []
    for line in lines:
        itself = re.match(r"([\w.-]+)\s*\[([^\]]*)\]", line)
        if itself and metadata.name and _canonical(itself[1]) == _canonical(metadata.name):
            inner = [one.strip() for one in itself[2].split(",")]
            found += [more for one in inner if one not in above for more in _extra(metadata, one, (*above, name))]
        else:
            found.append(line)
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _unique(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
