"""What the pages for those who join name is there: every file, folder and module."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.fixtures.checkout import ROOT, text, toml

PAGES = ("CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "docs/architecture.md", ".github/pull_request_template.md")

TOP = tuple(
    f"{path.name}/" if path.is_dir() else path.name for path in ROOT.iterdir() if path.name not in (".git", "build")
)
"""What stands at the top of the checkout, folders with a slash."""

CODE = re.compile(r"`([^`\n]+)`|\]\(([^)#\s]+)[^)]*\)")
DOTTED = re.compile(r"bench(\.\w+)+")
OF_GIT = re.compile(r"[\w.*/-]+")


def spans(page: str) -> list[str]:
    """What a page marks as code, and where its links lead."""
    return [code or link for code, link in CODE.findall(text(page))]


def paths(page: str) -> set[str]:
    """The paths that a page names; `NAME` in one stands for any."""
    words = {word.rstrip(",:;)") for span in spans(page) for word in span.split()}
    return {word for word in words if word.startswith(TOP) and OF_GIT.fullmatch(word) and "://" not in word}


def is_there(path: str) -> bool:
    if "NAME" in path:
        return any(ROOT.glob(path.replace("NAME", "*")))
    return (ROOT / path).exists() or any(ROOT.glob(path))


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    assert [path for path in sorted(paths(page)) if not is_there(path)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_names_is_there(page: str) -> None:
    names = {found[0] for span in spans(page) if (found := DOTTED.fullmatch(span.rstrip("()")))}
    assert [name for name in sorted(names) if not importable(name)] == []


def importable(name: str) -> bool:
    """Tell whether it is a module, or a name in one."""
    if (ROOT / Path(*name.split("."))).is_dir() or (ROOT / Path(*name.split("."))).with_suffix(".py").is_file():
        return True
    module, _, last = name.rpartition(".")
    return hasattr(importlib.import_module(module), last)


def test_paths_are_found_where_they_are_named() -> None:
    assert len(paths("CONTRIBUTING.md")) > 50
    assert "bench/matrix/engines/NAME.py" in paths("CONTRIBUTING.md")
    assert not is_there("bench/no_such_room/NAME.py")
    assert not is_there("bench/explore/strategies")
    assert not importable("bench.outcomes.no_such_name")


def test_every_room_has_a_line_in_the_table_of_rooms() -> None:
    table = text("CONTRIBUTING.md").partition("## Where code goes")[2].partition("\n## ")[0]
    rooms = {path.name for path in (ROOT / "bench").iterdir() if (path / "__init__.py").is_file()}
    assert {room for room in rooms if f"`bench/{room}/`" not in table} == set()


def test_every_folder_of_tests_has_a_line_in_the_table_of_tests() -> None:
    table = text("CONTRIBUTING.md").partition("## Where a test goes")[2].partition("\n## ")[0]
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("*.py"))}
    assert {folder for folder in folders if f"`tests/{folder}/`" not in table} == set()


def test_the_marks_of_tests_are_those_of_the_page() -> None:
    marks = toml("pyproject.toml")["tool"]["pytest"]["ini_options"]["markers"]
    names = {mark.partition(":")[0] for mark in marks} - {"once"}
    assert {name for name in names if f"`{name}`" not in text("CONTRIBUTING.md")} == set()
