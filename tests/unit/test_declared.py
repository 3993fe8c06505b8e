"""The words of scenarios, and what is said of a scenario that is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.declared import Scenario, actors_of, program
from bench.errors import UsageError
from bench.process import words
from bench.targets import find

HEAD = "from bench import actor, deterministic, program, scenario\n"
INIT = "    def __init__(self, mp):\n        self.x = 1\n"
ONE = "    @actor\n    def one(self): ...\n"
TWO = "    @actor\n    def two(self): ...\n"
RESULT = "    def result(self):\n        return 1\n"


@pytest.fixture(autouse=True)
def imports_are_undone() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, body: str, name: str = "scenarios_here") -> str:
    path = folder / f"{name}.py"
    path.write_text(f"{HEAD}{body}", encoding="utf-8")
    return str(path)


def test_a_scenario_is_a_target_like_a_program(tmp_path: Path) -> None:
    summary = '    """Goes well,\n    always.\n\n    More."""\n'
    text = f"@scenario(deterministic(1), deadline_s=2)\nclass S:\n{summary}{INIT}{ONE}{TWO}{RESULT}"
    (found,) = find([write(tmp_path, text)])
    made = found.program
    assert isinstance(made, Scenario)
    assert (made.target, made.summary) == ("scenarios_here:S", "Goes well, always.")
    assert (made.actors, made.deadline_s, made.samples, made.races) == (("one", "two"), 2, None, False)
    assert made.file.endswith("scenarios_here.py")
    assert made.line == 2  # as for functions: with the decorator


def test_programs_and_scenarios_stand_in_one_file_in_their_order(tmp_path: Path) -> None:
    text = f"@program()\ndef f(mp): ...\n@scenario()\nclass S:\n{INIT}{ONE}{TWO}{RESULT}\n@program()\ndef g(mp): ...\n"
    path = write(tmp_path, text)
    assert [one.program.name for one in find([path])] == ["f", "S", "g"]
    assert [actors_of(one.program) for one in find([path])] == [(), ("one", "two"), ()]
    assert [one.program.name for one in find([f"{path}::S"])] == ["S"]


def test_actors_result_and_state_may_be_inherited(tmp_path: Path) -> None:
    text = f"class Base:\n{INIT}{ONE}{RESULT}\n@scenario()\nclass S(Base):\n{TWO}    def one(self): ...\n"
    assert [actors_of(one.program) for one in find([write(tmp_path, text)])] == [("one", "two")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (INIT + RESULT, "S has no actor; two or more methods need @actor"),
        (INIT + ONE + RESULT, "S has one actor, one; two or more"),
        (INIT + ONE + TWO, "S has no result; write def result"),
        (INIT + ONE + TWO + "    def result(self, x): ...\n", "S.result takes self alone"),
        (ONE + TWO + RESULT, r"S takes no context; write def __init__\(self, mp\)"),
        (INIT + "    @actor\n    def one(self, x): ...\n" + TWO + RESULT, "the actor one takes self alone"),
        (INIT + "    @actor\n    async def one(self): ...\n" + TWO + RESULT, "the actor one is no plain method"),
        (INIT + "    @actor()\n    def one(self): ...\n" + TWO + RESULT, "actor"),
        (INIT + "    @actor\n    @property\n    def one(self): ...\n" + TWO + RESULT, "@actor decorates a method"),
    ],
)
def test_what_is_no_scenario_is_refused_with_what_to_do(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find([write(tmp_path, f"@scenario(deterministic(1))\nclass S:\n{body}")])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            f"def f():\n    @scenario()\n    class S:\n        x = 1\n{''}        def __init__(self, mp): ...\n"
            "        @actor\n        def a(self): ...\n        @actor\n        def b(self): ...\n"
            "        def result(self): ...\nf()\n",
            "nested in a function",
        ),
        ("@scenario()\ndef f(mp): ...\n", "decorates a class"),
        ("@scenario\nclass S: ...\n", "is no expectation"),
        ("@scenario(200)\nclass S: ...\n", r"write for example @scenario\(deterministic\(200\)\)"),
        ("@scenario(deadline_s=0)\nclass S: ...\n", "time in seconds"),
    ],
)
def test_mistakes_in_a_declaration_are_reported(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find([write(tmp_path, body)])


def test_a_program_has_no_actors() -> None:
    def module_function(mp: object) -> None: ...

    module_function.__qualname__ = "module_function"
    program()(module_function)
    assert actors_of(vars(module_function)["__bench__"]) == ()


def test_every_word_is_there_in_the_processes_of_a_sample() -> None:
    assert all(hasattr(words, name) for name in bench.__all__)
