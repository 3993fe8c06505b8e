"""The words of scenarios, and what is said of a scenario that is none."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.declared import Scenario, actors_of, program, targets_of
from bench.errors import UsageError
from bench.parameters import load
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


@pytest.mark.parametrize("meant", [bench.hangs(), bench.raises(OSError), 9, "SIGKILL"])
def test_only_ends_of_processes_are_tolerated(meant: Any) -> None:
    with pytest.raises(UsageError, match=r'tolerates=crashes\("SIGKILL"\)'):
        program(tolerates=meant)


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
    assert actors_of(targets_of(module_function)[0]) == ()


def test_every_word_is_there_in_the_processes_of_a_sample() -> None:
    assert all(hasattr(words, name) for name in bench.__all__)


PARAMETERS = 'parameters={"workers": [2, 4], "name": ["a", "b c"]}'


def test_each_combination_of_parameters_is_a_target(tmp_path: Path) -> None:
    path = write(tmp_path, f"@program(deterministic(1), {PARAMETERS})\ndef counts(mp, workers, name): ...\n")
    names = [one.program.name for one in find([path])]
    assert names == [
        "counts[workers=2,name=a]",
        "counts[workers=2,name=name1]",
        "counts[workers=4,name=a]",
        "counts[workers=4,name=name1]",
    ]
    assert [one.program.name for one in find([f"{path}::counts"])] == names
    assert [one.program.name for one in find([f"{path}::{names[2]}"])] == [names[2]]


def test_what_a_name_stands_for_is_called_with_its_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = "    def __init__(self, mp, size=1):\n        self.x = size\n"
    text = f'@scenario(deterministic(1), parameters={{"size": iter([3, 5])}})\nclass S:\n{start}{ONE}{TWO}{RESULT}'
    write(tmp_path, text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(bench, "GRADED_HERE", False)  # as in the processes of a sample
    made = load("scenarios_here", "S[size=5]")
    assert (made(None).x, made.result(made(None)), type(made(None)).__name__) == (5, 1, "S")
    assert load("scenarios_here", "S")(None).x == 1
    with pytest.raises(AttributeError, match=r"no target S\[size=4\]"):
        load("scenarios_here", "S[size=4]")


def test_targets_made_by_a_factory_on_one_line_are_all_found(tmp_path: Path) -> None:
    body = (
        "def made(number):\n    class Made:\n"
        + "".join(f"    {line}\n" for line in f"{INIT}{ONE}{TWO}{RESULT}".splitlines())
        + "    Made.__name__ = Made.__qualname__ = f'Made{number}'\n    return scenario(deterministic(number))(Made)\n"
        "Made1, Made2 = made(1), made(2)\n"
        "for number in (3, 4):\n    globals()[f'Made{number}'] = made(number)\n"
    )
    found = find([write(tmp_path, body)])
    assert [one.program.name for one in found] == ["Made1", "Made2", "Made3", "Made4"]


def test_a_module_that_is_run_again_declares_its_targets_again(tmp_path: Path) -> None:
    path = write(tmp_path, "@program()\ndef f(mp): ...\n")
    find([path])
    importlib.reload(sys.modules["scenarios_here"])
    assert [one.program.name for one in find([path])] == ["f"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("for n in (1, 2):\n    @program()\n    def f(mp): ...\n", "two programs named f: .*parameters="),
        ("@program()\ndef f(mp): ...\nf = None\n", "its module has no f"),
        ("@program(parameters={})\ndef f(mp): ...\n", "parameters are empty"),
        ("@program(parameters=[2])\ndef f(mp, n): ...\n", "names with lists of values"),
        ('@program(parameters={"n": 2})\ndef f(mp, n): ...\n', "names with lists of values"),
        ('@program(parameters={"n": []})\ndef f(mp, n): ...\n', "n has no values"),
        ('@program(parameters={"n": [1, 1]})\ndef f(mp, n): ...\n', "two values of n are called 1"),
        ('@program(parameters={"m": [1]})\ndef f(mp, n): ...\n', "f does not take its parameters"),
    ],
)
def test_mistakes_in_names_and_parameters_are_reported(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find([write(tmp_path, body)])
