"""Excerpts of the package's code: what a module defines under a name, as it stands in its source."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

MARK = re.compile(r"^<!-- code: (?P<module>[\w.]+) (?P<names>\w+(, \w+)*) -->$", re.MULTILINE)


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

    Raises:
        KeyError: if the module does not define one of them.
    """
    lines, nodes = _parsed(module)
    return _joined([(nodes[name], _source(lines, nodes[name])) for name in names])


def without_docstring(module: str, name: str, *, used: bool) -> str:
    """Return the source of a class without its docstring.

    Args:
        used: put before it the constants and functions of its module that it uses.
    """
    lines, nodes = _parsed(module)
    before = _used(nodes[name], nodes) - {name} if used else ()
    parts = [(nodes[one], _source(lines, nodes[one])) for one in nodes if one in before]
    return _joined([*parts, (nodes[name], _source(lines, nodes[name], docstring=False))])


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


def _source(lines: Sequence[str], node: ast.stmt, *, docstring: bool = True) -> str:
    left_out = range(0)
    if not docstring and isinstance(node, ast.ClassDef) and ast.get_docstring(node):
        left_out = range(node.body[0].lineno, _first_line(node.body[1]))
    last = node.end_lineno or node.lineno
    return "\n".join(lines[number - 1] for number in range(_first_line(node), last + 1) if number not in left_out)


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    return min([node.lineno, *(one.lineno for one in decorators)])


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
