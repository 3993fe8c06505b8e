"""What others may import: held as literals, so that nothing public comes or goes unnoticed."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

import bench
from bench import (  # all of them by name, so that a type checker which misses one fails the environment `types`
    acceptable,
    actor,
    crashes,
    deadlocks,
    deterministic,
    forbidden,
    hangs,
    interesting,
    leaks,
    program,
    racy,
    raises,
    scenario,
)
from bench.process import words
from tests.fixtures.checkout import ROOT, text

WORDS: dict[str, Callable[..., object]] = {
    "acceptable": acceptable,
    "actor": actor,
    "crashes": crashes,
    "deadlocks": deadlocks,
    "deterministic": deterministic,
    "forbidden": forbidden,
    "hangs": hangs,
    "interesting": interesting,
    "leaks": leaks,
    "program": program,
    "racy": racy,
    "raises": raises,
    "scenario": scenario,
}
"""What a user's file is written in."""

PUBLIC = {
    "bench": set(WORDS),
    "bench.kernels.corpus": {"KERNELS", "Kernel"},
    "bench.testing": {
        "FakeClock",
        "FakeEngine",
        "FakeMachine",
        "Program",
        "Script",
        "failing",
        "granted",
        "judged",
        "passing",
    },
    "bench.testing.machine": {
        "Do",
        "FakeMachine",
        "Lane",
        "Program",
        "acquire",
        "attempt",
        "begin",
        "explore",
        "join",
        "leave",
        "look",
        "read",
        "receive",
        "release",
        "send",
        "sleep",
        "start",
        "write",
    },
}
"""The modules whose names others import, with all of these."""

COLLECTIONS = {
    "bench.demos": {"account", "descriptors", "memory", "pipes", "processes", "queues", "script"},
    "bench.kernels": {
        "accounts",
        "checks",
        "conditions",
        "corpus",
        "counters",
        "deadlocks",
        "exclusion",
        "files",
        "publication",
        "queues",
    },
}
"""The packages that are given as targets, with their modules."""

EXPORTED = [(module, name) for module, names in PUBLIC.items() for name in sorted(names)]


def defining_all() -> list[str]:
    """The modules of the package that say what they export."""
    files = [file for file in sorted((ROOT / "bench").rglob("*.py")) if "\n__all__ = " in file.read_text("utf-8")]
    return [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_exports_these_names_and_no_other(name: str) -> None:
    module = importlib.import_module(name)
    assert set(module.__all__) == PUBLIC[name]
    assert len(module.__all__) == len(PUBLIC[name]), "each once"


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_public_package_has_these_modules_and_no_other(name: str) -> None:
    package = importlib.import_module(name)
    assert {one.name for one in pkgutil.iter_modules(package.__path__)} == COLLECTIONS[name]
    for module in COLLECTIONS[name]:
        assert inspect.getdoc(importlib.import_module(f"{name}.{module}")), module


@pytest.mark.parametrize("name", defining_all())
def test_every_name_in_all_exists(name: str) -> None:
    module = importlib.import_module(name)
    assert [one for one in module.__all__ if not hasattr(module, one)] == []


@pytest.mark.parametrize(("module", "name"), EXPORTED)
def test_every_public_name_is_documented(module: str, name: str) -> None:
    found = getattr(importlib.import_module(module), name)
    if isinstance(found, type) or inspect.isroutine(found):
        assert inspect.getdoc(found)
    else:
        assert_has_docstring_under(module, name)


def assert_has_docstring_under(module: str, name: str) -> None:
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    (at,) = [
        index
        for index, one in enumerate(body)
        if isinstance(one, (ast.Assign, ast.AnnAssign)) and name in {getattr(t, "id", None) for t in targets(one)}
    ]
    below = body[at + 1]
    assert isinstance(below, ast.Expr)
    assert isinstance(below.value, ast.Constant)
    assert below.value.value


def targets(assignment: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return assignment.targets if isinstance(assignment, ast.Assign) else [assignment.target]


@pytest.mark.parametrize("name", WORDS)
def test_every_word_of_a_users_file_is_typed_in_full(name: str) -> None:
    signature = inspect.signature(WORDS[name])
    for each in [*signature.parameters.values()]:
        assert each.annotation is not inspect.Parameter.empty, each.name
    assert signature.return_annotation is not inspect.Signature.empty


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "bench" / "py.typed").is_file()
    assert "Typing :: Typed" in text("pyproject.toml")


def test_type_checkers_see_the_names_where_they_come_from_at_run_time() -> None:
    tree = ast.parse(text("bench/__init__.py"))
    (block,) = [one for one in tree.body if isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING"]
    imports = [one for one in block.body if isinstance(one, ast.ImportFrom)]
    seen = {alias.asname: one.module for one in imports for alias in one.names}
    assert seen == bench._HOMES
    assert set(seen) == set(bench.__all__), "re-exported by `import x as x`, or strict checkers hide it"


def test_names_not_yet_imported_are_listed() -> None:
    code = "import bench, sys; print(set(bench.__all__) <= set(dir(bench)), 'bench.outcomes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "False"]


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'probably'"):
        _ = bench.probably  # type: ignore[attr-defined]  # which a checker sees too: without, it would find this waiver unused


def test_the_processes_of_a_sample_have_the_same_words() -> None:
    there = {name for name, one in vars(words).items() if callable(one) and not name.startswith("_")}
    assert isinstance(words, ModuleType)
    assert there == set(bench.__all__)
