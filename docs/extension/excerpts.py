"""Excerpts of the package's code: what a module defines under a name, as it stands in its source."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

MARK = re.compile(r"^<!-- code: (?P<module>[\w.]+) (?P<names>\w+(, \w+)*) -->$", re.MULTILINE)
_WAIVER = re.compile(r"  # noqa: .*")


def filled(text: str) -> str:
    """Return a page's text with the code in place of each mark `<!-- code: MODULE NAME, NAME -->`.

    Raises:
        KeyError: if a module does not define a name.
    """
    return MARK.sub(lambda mark: fenced(excerpt(mark["module"], mark["names"].split(", "))), text)


def fenced(code: str) -> str:
    """Return a fenced block of Python."""
    return f"```python\n{code}\n```"


def excerpt(module: str, names: Sequence[str]) -> str:
    """Return the source of what a module defines under `names`, in the order given.

    Docstrings and waivers of lint are left out: a page has its own words beside the code.

    Raises:
        KeyError: if the module does not define one of them.
    """
    lines, nodes = _parsed(module)
    return _joined([(nodes[name], _source(lines, nodes[name])) for name in names])


def used(module: str, name: str) -> list[str]:
    """Return the names of the constants and functions that a definition uses, in the order of their module."""
    _, nodes = _parsed(module)
    names = _used(nodes[name], nodes) - {name}
    return [one for one in nodes if one in names]


def _parsed(module: str) -> tuple[list[str], Mapping[str, ast.stmt]]:
    text = Path(str(importlib.import_module(module).__file__)).read_text(encoding="utf-8")
    return text.splitlines(), {name: node for node in ast.parse(text).body for name in _defined(node)}


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name))


def _used(node: ast.AST, nodes: Mapping[str, ast.stmt], known: Collection[str] = ()) -> set[str]:
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} & set(nodes) - set(known)
    return names.union(*(_used(nodes[name], nodes, {*known, *names}) for name in names))


def _source(lines: Sequence[str], node: ast.stmt) -> str:
    docstring = range(0)
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
        docstring = range(node.body[0].lineno, _first_line(node.body[1]))
    shown = (number for number in range(_first_line(node), _last_line(node) + 1) if number not in docstring)
    return "\n".join(_WAIVER.sub("", lines[number - 1]) for number in shown)


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    return min([node.lineno, *(one.lineno for one in decorators)])


def _last_line(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _joined(parts: Sequence[tuple[ast.stmt, str]]) -> str:
    """Return the parts as they would stand in a module: two blank lines apart, assignments none.

    `A, B = 1, 2` is one statement under two names, and appears once.
    """
    (first, text), *others = {id(node): (node, source) for node, source in parts}.values()
    before = first
    for node, source in others:
        together = isinstance(before, ast.Assign) and isinstance(node, ast.Assign)
        text += ("\n" if together else "\n\n\n") + source
        before = node
    return text
