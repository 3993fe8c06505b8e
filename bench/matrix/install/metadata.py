"""What a project says of itself in its files, read without running any of its code."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import HeaderParser
from typing import Any, TypeAlias

from bench.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Read: TypeAlias = Callable[[str], "str | None"]
"""Returns the text of a file of the project by its name; `None` where there is none."""

LEGACY_BUILD = ("setuptools", "wheel")
"""What builds a project that names no build backend."""

_OF_EXTRA = re.compile(r"\s*(?:;|\band\b)\s*\(?\s*extra\s*==\s*['\"]([^'\"]+)['\"]\s*\)?\s*$")


@dataclass(frozen=True)
class Metadata:
    """A project's metadata; `dependencies` is `None` where only building the project tells them.

    `build` is what its build needs, `groups` are the tables `[dependency-groups]` as they are written, `files` names
    the files that the metadata was read from.
    """

    name: str = ""
    dependencies: tuple[str, ...] | None = None
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, Any] = field(default_factory=dict)
    tests_require: tuple[str, ...] = ()
    build: tuple[str, ...] = LEGACY_BUILD
    buildable: bool = False
    files: tuple[str, ...] = ()


def read_metadata(read: Read) -> Metadata:
    """Return the metadata of a project: that of pyproject.toml, else of setup.cfg, setup.py and PKG-INFO.

    Raises:
        UsageError: if pyproject.toml or setup.cfg cannot be parsed.
    """
    data = _pyproject(read("pyproject.toml"))
    sources = [_of_pyproject(data, read), _of_setup_cfg(read("setup.cfg"), read), _of_setup_py(read("setup.py"))]
    packaged = _of_pkg_info(read("PKG-INFO"))
    buildable = any(one is not None for one in sources) or "build-system" in data
    found = [one for one in (*sources, packaged if buildable else None) if one is not None]
    known = [one.dependencies for one in found if one.dependencies is not None]
    extras: dict[str, tuple[str, ...]] = {}
    for one in reversed(found):
        extras |= one.extras
    system = data.get("build-system", {})
    build = system.get("requires") if isinstance(system, dict) else None
    return Metadata(
        next((one.name for one in found if one.name), ""),
        known[0] if known else None,
        extras,
        _groups(data),
        next((one.tests_require for one in found if one.tests_require), ()),
        tuple(build) if isinstance(build, list) else LEGACY_BUILD,
        buildable,
        tuple(name for one in found for name in one.files),
    )


def packaged_version(read: Read) -> str | None:
    """Return the version that the file PKG-INFO of a source distribution has."""
    text = read("PKG-INFO")
    return None if text is None else HeaderParser().parsestr(text).get("Version")


def _pyproject(text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except ValueError as error:
        raise UsageError(f"pyproject.toml is no valid TOML: {error}") from None


def _of_pyproject(data: Mapping[str, Any], read: Read) -> Metadata | None:
    project = data.get("project")
    if not isinstance(project, dict):
        return Metadata(files=("pyproject.toml",)) if "build-system" in data else None
    dynamic = project.get("dynamic", ())
    filed = _table(data, "tool", "setuptools", "dynamic")
    dependencies: tuple[str, ...] | None = tuple(project.get("dependencies", ()))
    if "dependencies" in dynamic:
        dependencies = _from_files(filed.get("dependencies"), read)
    extras = {name: tuple(lines) for name, lines in _table(project, "optional-dependencies").items()}
    if "optional-dependencies" in dynamic:
        tables = {name: _from_files(one, read) for name, one in _table(filed, "optional-dependencies").items()}
        extras |= {name: lines for name, lines in tables.items() if lines is not None}
    return Metadata(str(project.get("name", "")), dependencies, extras, files=("pyproject.toml",))


def _groups(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dependency groups, and what the tools that were there before these called so."""
    groups: dict[str, Any] = {**_table(data, "tool", "pdm", "dev-dependencies")}
    if isinstance(dev := _table(data, "tool", "uv").get("dev-dependencies"), list):
        groups["dev"] = dev
    return {**groups, **_table(data, "dependency-groups")}


def _table(data: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        found = data.get(key)
        data = found if isinstance(found, dict) else {}
    return data


def _from_files(directive: object, read: Read) -> tuple[str, ...] | None:
    """Return the lines of the files that `{file = ...}` names."""
    named = directive.get("file") if isinstance(directive, dict) else None
    texts = [read(name) for name in ([named] if isinstance(named, str) else named or ())]
    if not texts or None in texts:
        return None
    return tuple(_lines("\n".join(text for text in texts if text is not None)))


def _lines(text: str) -> Iterable[str]:
    return (line for raw in text.splitlines() if (line := raw.partition(" #")[0].strip()) and not line.startswith("#"))


def _of_setup_cfg(text: str | None, read: Read) -> Metadata | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text or "")
    except configparser.Error as error:
        raise UsageError(f"setup.cfg cannot be read: {error}") from None
    if not parser.has_section("metadata") and not parser.has_section("options"):
        return None

    def lines(section: str, key: str) -> tuple[str, ...]:
        value = parser.get(section, key, fallback="").strip()
        if value.startswith("file:"):
            names = [name.strip() for name in value.removeprefix("file:").split(",")]
            return _from_files({"file": names}, read) or ()
        return tuple(_lines(value.replace(";;", "\n")))

    section = "options.extras_require"
    extras = {key: lines(section, key) for key in (parser[section] if parser.has_section(section) else ())}
    given = parser.has_option("options", "install_requires")
    return Metadata(
        parser.get("metadata", "name", fallback=""),
        lines("options", "install_requires") if given else None,
        extras,
        tests_require=lines("options", "tests_require"),
        files=("setup.cfg",),
    )


def _of_setup_py(text: str | None) -> Metadata | None:
    """Return what the call of `setup` in a setup.py is given in literal values; it is not run."""
    if text is None:
        return None
    try:
        tree = ast.parse(text)
    except SyntaxError:  # pip says so better
        return Metadata(files=("setup.py",))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "setup"]
    if len(calls) != 1:
        return Metadata(files=("setup.py",))
    assigned = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    words = {word.arg: word.value for word in calls[0].keywords if word.arg is not None}
    values = {name: _literal(assigned.get(_id(node), node)) for name, node in words.items()}
    certain = all(word.arg is not None for word in calls[0].keywords)
    requires = values.get("install_requires", () if certain else None)
    extras = values.get("extras_require")
    return Metadata(
        values["name"] if isinstance(values.get("name"), str) else "",
        _texts(requires),
        {str(k): _texts(v) or () for k, v in extras.items()} if isinstance(extras, dict) else {},
        tests_require=_texts(values.get("tests_require")) or (),
        files=("setup.py",),
    )


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else _id(node.func)


def _id(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return None


def _texts(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(_lines(value))
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else None


def _of_pkg_info(text: str | None) -> Metadata | None:
    if text is None:
        return None
    found = HeaderParser().parsestr(text)
    extras: dict[str, list[str]] = {name: [] for name in found.get_all("Provides-Extra", ())}
    dependencies = []
    for line in found.get_all("Requires-Dist", ()):
        if of := _OF_EXTRA.search(line):
            extras.setdefault(of[1], []).append(line[: of.start()].strip())
        elif not re.search(r"\bextra\b", line.partition(";")[2]):
            dependencies.append(line)
    settled = "requires-dist" not in {name.lower() for name in found.get_all("Dynamic", ())}
    return Metadata(
        found.get("Name", ""),
        tuple(dependencies) if settled else None,
        {name: tuple(lines) for name, lines in extras.items()},
        files=("PKG-INFO",),
    )
