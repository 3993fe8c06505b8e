"""The lines of requirements files, of tox.ini and of a noxfile, one requirement each."""

from __future__ import annotations

import ast
import configparser
import posixpath
import re
from collections.abc import Iterator

from bench.errors import UsageError
from bench.matrix.install.metadata import Read

_NAMED = re.compile(r"(tox\.ini|noxfile\.py)(?::(\S+))?")
_FILE = re.compile(r"(?:-r|--requirement)[\s=]+(\S+)|-r(\S+)")
_CONSTRAINTS = re.compile(r"(?:-c|--constraint)[\s=]+(\S+)|-c(\S+)")


def expanded(given: str, read: Read, folder: str = "") -> list[str]:
    """Return the requirements of one line: those of the files that it names, or itself.

    Args:
        given: a requirement, an option of a requirements file, `tox.ini[:ENVIRONMENT]` or `noxfile.py[:SESSION]`.
        read: returns the text of a file of the project.
        folder: the folder that names in the line are relative to, below the project's.

    Raises:
        UsageError: if a file that is named cannot be read, or has no such environment or session.
    """
    line = " ".join(given.split()).partition(" #")[0]
    if not line or line.startswith("#"):
        return []
    if named := _NAMED.fullmatch(line):
        lines = _of_tox if named[1] == "tox.ini" else _of_nox
        return [inner for one in lines(_text(named[1], read), named[2] or "") for inner in expanded(one, read)]
    for pattern, kept in ((_FILE, False), (_CONSTRAINTS, True)):
        if found := pattern.fullmatch(line):
            path = posixpath.normpath(posixpath.join(folder, found[1] or found[2]))
            text = _text(path, read)
            if kept:  # constraints stay a file: they constrain what is named elsewhere, and name nothing
                return [f"-c {path}"]
            return [inner for one in _joined(text) for inner in expanded(one, read, posixpath.dirname(path))]
    local = re.match(r"((?:-e|--editable)[\s=]+)?(\.{1,2}(?:/[^\[;\s]*)?)(?=[\[;\s]|$)", line)
    if folder and local:
        path = posixpath.normpath(posixpath.join(folder, local[2]))
        return [f"{local[1] or ''}{path if path.startswith('.') else f'./{path}'}{line[local.end() :]}"]
    return [line]


def _text(name: str, read: Read) -> str:
    text = read(name)
    if text is None:
        raise UsageError(f"requirements file {name}: no such file in the project; correct `requirements`")
    return text


def _joined(text: str) -> Iterator[str]:
    """Yield the lines of a requirements file, each with the lines that continue it."""
    yield from text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines()


def _of_tox(text: str, environment: str) -> list[str]:
    """Return the `deps` of an environment of tox.ini; a factor's condition is that of the environment's name."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise UsageError(f"tox.ini cannot be read: {error}") from None
    own = f"testenv:{environment}"
    section = own if parser.has_option(own, "deps") else "testenv"
    if environment and not parser.has_section(own) and not parser.has_section("testenv"):
        raise UsageError(f"tox.ini has no environment {environment}; correct `requirements`")
    lines = []
    for raw in parser.get(section, "deps", fallback="").splitlines():
        line = raw
        condition, colon, rest = raw.strip().partition(": ")
        factors = set(environment.split("-"))
        if colon and re.fullmatch(r"[\w.,!{}-]+", condition):
            if not any(set(one.split("-")) <= factors for one in condition.split(",")):
                continue
            line = rest
        if "{" in line:
            raise UsageError(f"tox.ini: {line.strip()!r} is replaced by tox alone; name it in `requirements` yourself")
        lines.append(line)
    return lines


def _of_nox(text: str, session: str) -> list[str]:
    """Return what a session of a noxfile installs by literal names; the noxfile is not run."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise UsageError(f"noxfile.py cannot be parsed: line {error.lineno}") from None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    names = [session] if session else [name for name in ("tests", "test") if name in functions]
    if not names or names[0] not in functions:
        raise UsageError(f"noxfile.py has no session {session or 'tests'}; name one, noxfile.py:SESSION")
    calls = [
        node
        for node in ast.walk(functions[names[0]])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "install"
    ]
    words = [one.value for call in calls for one in call.args if isinstance(one, ast.Constant)]
    found: list[str] = []
    for word in words:
        text_of = str(word)
        if found and found[-1] in ("-r", "-e", "-c"):
            found[-1] += f" {text_of}"
        elif not text_of.startswith("-") or text_of in ("-r", "-e", "-c"):
            found.append(text_of)
    return found
