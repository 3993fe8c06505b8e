"""The lessons and the page of the kernels: each demo and each kernel is there, with its code as the package has it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.declared import targets_of
from bench.kernels.corpus import KERNELS, Kernel
from bench.targets import Found, find
from docs.extension import excerpts, fill, kernels

LESSONS = Path(__file__).parents[2] / "docs" / "lessons"
PAGES = sorted(LESSONS.glob("[0-9][0-9]-*.md"))


def test_there_is_a_page_for_each_of_the_fourteen_demos_and_the_index_links_to_all() -> None:
    index = (LESSONS / "index.md").read_text(encoding="utf-8")
    assert [int(page.name[:2]) for page in PAGES] == list(range(1, 15))
    assert all(f"]({page.name})" in index for page in PAGES)


@pytest.mark.parametrize("demo", find([]), ids=lambda demo: demo.program.name)
def test_each_demo_stands_on_one_page_with_its_code_and_a_command_that_runs_it(demo: Found) -> None:
    program = demo.program
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    shown = [
        text
        for text in texts
        for mark in excerpts.MARK.finditer(text)
        if mark["module"] == program.module and program.name in mark["names"].split(", ")
    ]
    assert len(shown) == 1
    assert re.search(rf"^\$ bench .*\b{program.module}:{program.name}\b", shown[0], re.MULTILINE)


def test_an_excerpt_is_the_source_with_decorators_in_the_order_asked_for_without_docstrings() -> None:
    code = excerpts.excerpt("bench.demos.account", ["OPENING", "STEPS", "with_lock"])
    assert code.startswith("OPENING = 200\nSTEPS = 10_000\n\n\n@program(deterministic(OPENING,")
    assert code.endswith("-> int:\n    return _balance_after(mp, mp.Lock(), 1, 1, steps, pause_s)")


def test_an_assignment_to_two_names_appears_once() -> None:
    assert excerpts.excerpt("bench.kernels.accounts", ["THERE", "BACK"]) == "THERE, BACK = 50, 30"


def test_a_name_that_a_module_does_not_define_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill("<!-- code: bench.demos.account nothing_of_that_name -->")


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_each_kernel_is_shown_with_its_source_its_twin_and_what_its_code_needs(kernel: Kernel) -> None:
    page = fill((LESSONS / "kernels.md").read_text(encoding="utf-8"))
    for scenario in (kernel.buggy, kernel.fixed):
        assert len(re.findall(rf"^class {scenario.__name__}\b", page, re.MULTILINE)) == 1
        assert f"bench explore {targets_of(scenario)[0].target}" in page
    assert f"- **Described in:** {kernel.source}" in page
    assert f"[{kernel.name}](#{kernels.anchor(kernel.name)})" in page


def test_the_code_of_a_kernel_comes_after_the_constants_and_functions_that_it_uses_and_without_its_docstring() -> None:
    page = kernels.of_module("counters")
    assert page.index("EACH = 3") < page.index("def _some_lost") < page.index("class ThreeIncrementsEach:")
    assert "Source:" not in page


def test_an_anchor_is_as_sphinx_makes_it() -> None:
    assert kernels.anchor("AB/BA deadlock") == "abba-deadlock"
    assert kernels.anchor("empty() then get()") == "empty-then-get"
