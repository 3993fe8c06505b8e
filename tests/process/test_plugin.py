"""The pytest plugin in a pytest of its own, on real processes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.leases import lease_cpus
from bench.outcomes import METHODS
from bench.record import End, Facts, Judged, RecordLine, Test, read_lines, read_run

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

PROGRAMS = """
import os
import signal

import pytest

from bench import acceptable, deterministic, hangs, interesting, program, racy


def child(mp, target, *arguments):
    process = mp.Process(target=target, args=arguments)
    process.start()
    process.join()


def ends():
    pass


def raises():
    raise ValueError("said in the child")


def is_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def waits(lock):
    lock.acquire()


@program(deterministic(1), samples=1)
def passing(mp):
    child(mp, ends)
    return 1


@program(racy(0), samples=2)
def racing(mp):
    return os.getpid()


@program(interesting(hangs()), samples=1, deadline_s=0.6)
def hanging_as_declared(mp):
    mp.Event().wait()


@program(deterministic(1), samples=1)
def failing(mp):
    return 2


@program(deterministic(1), samples=1)
def raising(mp):
    child(mp, raises)
    return 1


@program(deterministic(1), samples=1)
def crashing(mp):
    child(mp, is_killed)
    return 1


@program(deterministic(1), samples=1, deadline_s=6)
def hanging(mp):
    lock = mp.Lock()
    lock.acquire()
    child(mp, waits, lock)
    return 1


@program(acceptable(lambda value: 1 / 0), samples=1)
def undecided(mp):
    return 1


@pytest.mark.skip(reason="not today")
@program(deterministic(1))
def left_out(mp):
    return 1
"""

SMALL = """
from bench import deterministic, program


@program(deterministic(1), samples=1)
def first(mp):
    return 1


@program(deterministic(2), samples=1)
def second(mp):
    return 2
"""


@pytest.fixture
def plain(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for a suite that is collected only, or is none of the bench's, where warnings are errors."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_AUTO_NUM_WORKERS", "BENCH_START_METHOD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")  # lines are cut to the terminal's width, and CI has none
    # Without a plugin that imports all of hypothesis anew in each of these runs.
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = -p no:hypothesispytest")
    return pytester


@pytest.fixture
def suite(plain: pytest.Pytester) -> pytest.Pytester:
    """A folder for a suite that is run, whose leases are nobody else's."""
    plain.makeconftest(
        f"import pathlib\nimport bench.leases\nbench.leases.FOLDER = pathlib.Path({str(plain.path / 'leases')!r})"
    )
    return plain


def lines_of(suite: pytest.Pytester, cell: str = "local") -> list[RecordLine]:
    return list(read_lines(suite.path / "out" / "cells" / f"{cell}.jsonl"))


def observed(suite: pytest.Pytester) -> dict[str, Judged]:
    return {line.target: line for line in lines_of(suite) if isinstance(line, Judged)}


def collected(suite: pytest.Pytester, *arguments: str) -> list[str]:
    result = suite.runpytest_inprocess("--collect-only", "-q", *arguments)
    return [line.rpartition("::")[2] for line in result.outlines if "::" in line and " " not in line]


@pytest.mark.parametrize("method", METHODS)
def test_each_verdict_is_its_own_result(suite: pytest.Pytester, method: str) -> None:
    suite.makepyfile(test_programs=PROGRAMS)
    result = suite.runpytest_subprocess("-v", "--start-method", method, "--bench-out", "out", "--bench-seed", "7")
    result.assert_outcomes(passed=3, failed=4, errors=1, skipped=1)
    verdicts = {target.partition(":")[2]: one.verdict for target, one in observed(suite).items()}
    assert verdicts == {
        "passing": "pass",
        "racing": "pass",
        "hanging_as_declared": "pass",
        "failing": "fail",
        "raising": "fail",
        "crashing": "fail",
        "hanging": "fail",
        "undecided": "unknown",
    }
    kinds = {target.partition(":")[2]: one.outcomes[0].outcome.kind for target, one in observed(suite).items()}
    assert (kinds["raising"], kinds["crashing"], kinds["hanging"]) == ("raised", "crash", "hang")
    assert {one.method for one in observed(suite).values()} == {method}
    result.stdout.fnmatch_lines_random(
        [
            f"test_programs.py::racing?{method}? PASSED (interesting)*",
            "*ValueError: said in the child",
            "*crash: * ended with SIGKILL*",
            "*ERROR at setup of undecided*",
            "an expectation raised ZeroDivisionError: division by zero",
            f"again: pytest 'test_programs.py::failing?{method}?' --bench-seed 7 --bench-samples 1",
            f"FAILED test_programs.py::failing?{method}? - Forbidden: 2 (1 of 1)*",
            f"pass    test_programs:passing  ?{method}?  1x 1  acceptable: nothing else may ever happen",
        ]
    )
    text = result.stdout.str()
    assert re.search(r"MainProcess \(pid \d+, .*\):\n +.*\n(?: +File .*\n)+", text)
    assert re.search(r"Process-1 \(pid \d+, .*\):\n", text)
    assert "INTERNALERROR" not in text


def test_records_of_a_mixed_suite_read_back(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_mixed=SMALL
        + """
import pytest

def helper(): raise KeyError(f"at 0x{id(object()):x}")
def test_passes(): pass
def test_fails(): helper()
def test_fails_alike(): helper()
def test_errs(no_such_fixture): pass
def test_is_skipped(): pytest.skip("so")
@pytest.mark.xfail(strict=False)
def test_xfails(): assert False
@pytest.mark.xfail(strict=False)
def test_xpasses(): pass
""",
        test_broken="import no_such_module",
    )
    result = suite.runpytest_subprocess(
        "--bench-out",
        "out",
        "--bench-cell",
        "here",
        "--start-method",
        "spawn",
        "--bench-seed",
        "9",
        "--continue-on-collection-errors",
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    lines = lines_of(suite, "here")
    first, last = lines[0], lines[-1]
    assert isinstance(first, Facts)
    assert (first.cell, first.seed, first.method_asked) == ("here", 9, None)
    assert isinstance(last, End)
    assert last.status == "fail"
    assert [line.target for line in lines if isinstance(line, Judged)] == [
        "test_mixed:first",
        "test_mixed:second",
    ]
    tests = {line.id.removeprefix("test_mixed.py::test_"): line for line in lines if isinstance(line, Test)}
    assert {name: test.status for name, test in tests.items()} == {
        "test_broken.py": "error",
        "passes": "passed",
        "fails": "failed",
        "fails_alike": "failed",
        "errs": "error",
        "is_skipped": "skipped",
        "xfails": "xfailed",
        "xpasses": "xpassed",
    }
    assert tests["fails"].signature == tests["fails_alike"].signature == "KeyError: 'at 0x…' in test_mixed.py:helper"
    assert "no_such_module" in str(tests["test_broken.py"].signature)
    run = read_run(suite.path / "out")
    assert (run["seed"], run["cells"][0]["cell"]) == (9, "here")
    assert run["ended"] >= run["started"]


SCENARIO = """
from bench import actor, racy, scenario


@scenario(racy(2))
class Lost:
    def __init__(self, mp):
        self.count = mp.Value("i", 0)

    @actor
    def first(self):
        self.count.value += 1

    @actor
    def second(self):
        self.count.value += 1

    def result(self):
        return self.count.value
"""


def test_each_target_goes_through_the_modes_that_are_for_it(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=SMALL + SCENARIO)
    asked = ("--bench-mode", "stress,repeat", "--bench-samples", "3", "--bench-budget", "stress=0.2")
    told = ("-v", "--start-method", "fork", "--bench-seed", "7", "--bench-out", "out")
    result = suite.runpytest_subprocess(*told, *asked)
    result.assert_outcomes(passed=3)
    seen = {one.target.partition(":")[2]: one for one in lines_of(suite) if type(one) is Judged}
    assert {name: (one.mode, one.samples > 3) for name, one in seen.items()} == {
        "first": ("repeat", False),
        "second": ("repeat", False),
        "Lost": ("stress", True),
    }
    assert 0.2 <= seen["Lost"].seconds < 5  # which it would take by default
    assert read_run(suite.path / "out")["modes"] == ["repeat", "stress"]
    result.stdout.fnmatch_lines_random(
        ["test_it.py::Lost?fork-stress? PASSED*", "forkbench: 3 tests: 2 in repeat and 1 in stress, under fork, seed 7"]
    )


@pytest.mark.parametrize(
    ("asked", "items"),
    [
        ((), ["first[fork]", "second[fork]", "Lost[fork]"]),
        (("--bench-mode", "stress"), ["first[fork-stress]", "second[fork-stress]", "Lost[fork-stress]"]),
        (("--bench-mode", "repeat", "--bench-mode", "stress"), ["first[fork]", "second[fork]", "Lost[fork-stress]"]),
    ],
)
def test_the_name_of_an_item_has_its_mode_whatever_else_is_asked(
    plain: pytest.Pytester, asked: tuple[str, ...], items: list[str]
) -> None:
    plain.makepyfile(test_it=SMALL + SCENARIO)
    assert collected(plain, "--start-method", "fork", *asked) == items


def test_a_mark_decides_the_mode_whatever_is_asked(plain: pytest.Pytester) -> None:
    marked = SCENARIO.replace("@scenario", "@pytest.mark.bench_mode('stress')\n@scenario")
    plain.makepyfile(test_it=f"import pytest\n{marked}")
    plain.makepyfile(test_all=f"import pytest\npytestmark = pytest.mark.bench_mode('stress')\n{SCENARIO}")
    both = ["Lost[fork-stress]", "Lost[fork-stress]"]
    assert collected(plain, "--start-method", "fork", "--bench-mode", "repeat") == both
    plain.makepyfile(test_wrong=f"import pytest\n{marked.replace('stress', 'guess')}")
    result = plain.runpytest_inprocess("--collect-only", "test_wrong.py")
    result.stdout.fnmatch_lines(["*Lost: the mark bench_mode 'guess': there are repeat, stress and explore"])


OBSERVED = """
from bench.observation import Observation, SampleOutcome, tally
from bench.outcomes import value
from bench.pytest_plugin import items


def observer(mode):
    def observe(found, **asked):
        one = [] if (mode == "explore" and "Open" in found.program.name) else [SampleOutcome(value(1))]
        limits = ("nothing raced",) if mode == "stress" else ()
        outcomes = tally([[SampleOutcome(value(2)), *one]])
        return Observation(found.program.target, mode, "local", 2, 0.1, outcomes, (), limits)
    return observe


items.observer = observer
"""


def test_a_target_that_stress_cannot_decide_is_left_to_explore(plain: pytest.Pytester) -> None:
    plain.makeconftest(OBSERVED)
    plain.makepyfile(test_it=SCENARIO)
    asked = ("--start-method", "fork", "-rs", "--bench-out", "out", "--bench-mode")
    both = plain.runpytest_subprocess(*asked, "stress,explore")
    both.assert_outcomes(passed=1, skipped=1)
    both.stdout.fnmatch_lines(["SKIPPED*: explore decides, since nothing raced"])
    end = lines_of(plain)[-1]
    assert isinstance(end, End)
    assert end.status == "pass"
    plain.runpytest_subprocess(*asked, "stress").assert_outcomes(errors=1)
    plain.makepyfile(test_it=SCENARIO.replace("class Lost", "class Open"))
    plain.runpytest_subprocess(*asked, "stress,explore").assert_outcomes(errors=1, skipped=1)
    end = lines_of(plain)[-1]
    assert isinstance(end, End)
    assert end.status == "unknown"


def test_where_all_is_skipped_nothing_is_known(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=SMALL)
    result = suite.runpytest_subprocess("--start-method", "fork", "--bench-mode", "stress", "--bench-out", "out")
    result.assert_outcomes(skipped=2)
    end = lines_of(suite)[-1]
    assert isinstance(end, End)
    why = "nothing was exercised: every test was skipped: a program has no actors, and stress runs scenarios"
    assert (end.status, end.why) == ("unknown", why)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_records_go_to_an_open_descriptor_without_facts_and_end(suite: pytest.Pytester, workers: str) -> None:
    suite.makepyfile(test_it=SMALL + "\ndef test_plain(): pass\n")
    reading, writing = os.pipe()
    arguments = ["-m", "pytest", "-n", workers, "--start-method", "fork", "--bench-records", str(writing)]
    with os.fdopen(reading, "rb") as records:
        try:
            subprocess.run([sys.executable, *arguments], cwd=suite.path, pass_fds=[writing], check=False)
        finally:
            os.close(writing)
        lines = [json.loads(line) for line in records]
    assert sorted(line["type"] for line in lines) == ["observation", "observation", "test"]


def test_the_line_that_replays_does(suite: pytest.Pytester) -> None:
    suite.mkdir("sub").joinpath("it.py").write_text(
        "import random\n\nfrom bench import deterministic, program\n\n\n@program(deterministic(-1))\n"
        "def drawn(mp):\n    return random.randrange(10**9)\n"
    )
    result = suite.runpytest_subprocess("sub/it.py", "--start-method", "spawn", "--import-mode", "importlib")
    (again,) = {line for line in result.outlines if line.startswith("again: ")}
    value = re.search(r"^(\d+) \(1 of 2\)", result.stdout.str(), re.MULTILINE)
    assert value is not None
    words = shlex.split(again.removeprefix("again: "))
    assert words[:2] == ["pytest", "sub/it.py::drawn[spawn]"]
    suite.runpytest_subprocess(*words[1:]).stdout.fnmatch_lines([f"{value[1]} (1 of 1): nobody listed it"])


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_every_import_mode_of_pytest(suite: pytest.Pytester, mode: str) -> None:
    for folder in ("one", "two/deep"):
        package = suite.path / "src" / folder
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "test_it.py").write_text(f"{SMALL}from .helper import second as imported\n")
        (package / "helper.py").write_text(SMALL)
    (suite.path / "src" / "two" / "__init__.py").touch()
    result = suite.runpytest_subprocess("--import-mode", mode, "--start-method", "spawn", "--bench-out", "out")
    result.assert_outcomes(passed=4)
    assert set(observed(suite)) == {
        f"{package}.test_it:{name}" for package in ("one", "two.deep") for name in ("first", "second")
    }


def test_a_program_imports_what_the_settings_of_pytest_let_it(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\npythonpath = lib\naddopts = -p no:hypothesispytest")
    suite.mkdir("lib").joinpath("helping.py").write_text("VALUE = 5\n")
    suite.makepyfile(
        test_it="from bench import deterministic, program\nimport helping\n\n"
        "@program(deterministic(5), samples=1)\ndef helped(mp):\n    return helping.VALUE\n"
    )
    for arguments in ([], ["-n", "1"]):
        suite.runpytest_subprocess("--start-method", "spawn", *arguments).assert_outcomes(passed=1)


def test_a_package_named_with_pyargs_is_collected_with_its_modules(plain: pytest.Pytester) -> None:
    package = plain.mkpydir("shapes")
    (package / "round.py").write_text(SMALL)
    (package / "plain.py").write_text("raise SystemExit('only modules that declare programs are imported')\n")
    plain.syspathinsert()
    both = ["first[spawn]", "second[spawn]"]
    assert collected(plain, "--start-method", "spawn", "--pyargs", "shapes") == both
    assert collected(plain, "--start-method", "spawn", "--pyargs", "shapes.round") == both
    assert collected(plain, "--start-method", "spawn", "--pyargs", "shapes.round::first[spawn]") == both[:1]
    assert collected(plain, "--start-method", "spawn", "shapes/round.py") == both
    assert collected(plain, "--start-method", "spawn", "shapes/round.py::second") == both[1:]
    assert collected(plain, "--start-method", "spawn", "shapes") == []


def test_demos_are_collected_by_name(plain: pytest.Pytester) -> None:
    assert len(collected(plain, "--pyargs", "bench.demos", "--start-method", "spawn")) >= 14


def test_selection_works_as_for_every_test(plain: pytest.Pytester) -> None:
    plain.makepyfile(test_it=f"import pytest\n{SMALL}\nsecond = pytest.mark.xfail(second)\n")
    every = collected(plain)
    assert every == [f"{name}[{method}]" for name in ("first", "second") for method in METHODS]
    assert collected(plain, "-k", "first and not fork") == ["first[spawn]"]
    assert collected(plain, "-m", "xfail") == every[3:]
    assert collected(plain, "-m", "not bench_program") == []
    assert collected(plain, "test_it.py::first[fork]") == ["first[fork]"]
    asked = ("--start-method", "spawn", "--start-method", "fork")
    assert collected(plain, *asked, "-k", "first") == ["first[spawn]", "first[fork]"]


def test_stopping_and_rerunning_work_as_for_every_test(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=SMALL.replace("return 2", "return 3").replace("return 1", "return 2"))
    once = ("--start-method", "spawn", "-x")
    suite.runpytest_subprocess(*once).assert_outcomes(failed=1)
    again = suite.runpytest_subprocess(*once, "--lf")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["FAILED test_it.py::first?spawn?*"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@program(deterministic(1), samples=0)\ndef f(mp): ...", "*test_it.py:2: program(samples=0): at least one*"),
        ("@program(deterministic(1))\ndef f(): ...", "*test_it.py:2: *f takes no context; write def f(mp)"),
        ("@program(1)\ndef f(mp): ...", "*test_it.py:2: 1 is no expectation; *"),
        (
            "@program(deterministic(1))\ndef f(mp): ...\n@program(deterministic(1))\ndef f(mp): ...",
            "two programs named f: *test_it.py:2 and line 4; rename one*",
        ),
        ("class C:\n    @program(deterministic(1))\n    def f(mp): ...", "*test_it.py:3: C.f is in a class; *"),
    ],
)
def test_a_mistake_in_a_declaration_is_one_clear_line(suite: pytest.Pytester, text: str, said: str) -> None:
    suite.makepyfile(test_it=f"from bench import deterministic, program\n{text}\n")
    result = suite.runpytest_subprocess("--bench-out", "out")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR collecting test_it.py*", said])
    assert "Traceback" not in result.stdout.str()
    assert "bench/declared.py" not in result.stdout.str()
    assert [line.status for line in lines_of(suite) if isinstance(line, (Test, End))] == ["error", "error"]


def test_quiet_and_quieter(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=SMALL.replace("return 2", "return 3"))
    quiet = suite.runpytest_subprocess("-q", "--start-method", "spawn")
    quiet.stdout.fnmatch_lines(["*= forkbench =*", "FAIL    test_it:second*"])
    assert "pass    test_it:first" not in quiet.stdout.str()
    assert "= forkbench =" not in suite.runpytest_subprocess("-qq", "--start-method", "spawn").stdout.str()


def test_colour_only_where_pytest_has_it(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=SMALL)
    one = ("--start-method", "spawn", "-k", "first")
    assert "\x1b[" not in suite.runpytest_subprocess(*one, "--color", "no").stdout.str()
    assert "\x1b[32mpass    \x1b[0m" in suite.runpytest_subprocess(*one, "--color", "yes").stdout.str()


ORDINARY = """
import os, sys

def test_affinity():
    assert len(os.sched_getaffinity(0)) == {cpus}

def test_nothing_of_the_bench_is_imported_for_nothing():
    assert not [name for name in sys.modules if name.startswith("bench.") and name not in {allowed}]
"""
ALLOWED = {
    "bench.errors",
    "bench.pytest_plugin",
    "bench.pytest_plugin.settings",
    "bench.pytest_plugin.listening",
}


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_plain_suite_is_left_as_it_is(plain: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    plain.makepyfile(test_it=ORDINARY.format(cpus=len(os.sched_getaffinity(0)), allowed=ALLOWED))
    result = plain.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=2)
    assert "forkbench:" not in result.stdout.str()
    assert "= forkbench =" not in result.stdout.str()


def test_the_plugin_can_be_left_out_and_xdist_too(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=SMALL + "\ndef test_plain(): pass\n")
    suite.runpytest_subprocess("-p", "no:forkbench").assert_outcomes(passed=1)
    suite.runpytest_subprocess("-p", "no:xdist", "--start-method", "spawn").assert_outcomes(passed=3)
    suite.runpytest_subprocess("-p", "no:terminal", "--start-method", "spawn", "--bench-out", "out")
    assert len(observed(suite)) == 2


PINNED = """
import os

from bench import acceptable, program


def is_one_cpu(value):
    return len(value) == 1


def affinity(mp):
    return sorted(os.sched_getaffinity(0))
""" + "".join(
    f"\n\n@program(acceptable(is_one_cpu), samples=1)\ndef program_{n}(mp):\n    return affinity(mp)\n"
    for n in range(4)
)

two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")


@pytest.fixture
def one_cpu_held(suite: pytest.Pytester) -> Iterator[int]:
    usable = os.sched_getaffinity(0)
    with lease_cpus(len(usable) - 1, among=usable, timeout_s=0, holder="a test", folder=suite.path / "leases") as held:
        yield held[0]


def affinities(suite: pytest.Pytester) -> set[str]:
    return {str(one.outcomes[0].outcome.value) for one in observed(suite).values()}


@two_cpus
def test_workers_hold_cpus_of_their_own_and_the_controller_writes(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=PINNED + "\ndef test_plain(): pass\n")
    result = suite.runpytest_subprocess("-n", "2", "--start-method", "spawn", "--bench-out", "out")
    result.assert_outcomes(passed=5)
    lines = lines_of(suite)
    assert [type(line) for line in (lines[0], lines[-1])] == [Facts, End]
    assert len(observed(suite)) == 4
    assert [line.status for line in lines if isinstance(line, Test)] == ["passed"]
    assert len(affinities(suite)) == 2
    assert [file.read_text() for file in (suite.path / "leases").glob("cpu*")] == ["", ""]


@two_cpus
def test_as_many_workers_as_leases_fit(suite: pytest.Pytester, one_cpu_held: int) -> None:
    suite.makepyfile(it=PINNED)
    result = suite.runpytest_subprocess("-n", "auto", "-v", "--start-method", "spawn", "--bench-out", "out", "it.py")
    result.assert_outcomes(passed=4)
    free = sorted(os.sched_getaffinity(0))[len(os.sched_getaffinity(0)) - 1 :]
    assert str([one_cpu_held]) not in affinities(suite)
    assert affinities(suite) == {str(free)}
    assert "[gw1]" not in result.stdout.str()


@two_cpus
def test_a_cpu_that_cannot_be_had_is_an_error_and_no_failure(suite: pytest.Pytester, one_cpu_held: int) -> None:
    usable = os.sched_getaffinity(0)
    suite.makepyfile(test_it=PINNED + "\ndef test_plain(): pass\n")
    # All of them held: with one left, a worker may be done with it before the other has asked.
    with lease_cpus(1, among=usable, timeout_s=0, holder="a test", folder=suite.path / "leases"):
        result = suite.runpytest_subprocess(
            "-n", str(len(usable)), "--start-method", "spawn", "--bench-lease-timeout", "0.1"
        )
    result.assert_outcomes(passed=1, errors=4)
    result.stdout.fnmatch_lines([f"*no CPU of its own for this process: *CPU {one_cpu_held} by a test*"])


def test_more_workers_than_cpus_are_refused(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it=PINNED + "\ndef test_plain(): pass\n")
    many = str(len(os.sched_getaffinity(0)) + 1)
    result = suite.runpytest_subprocess("-n", many, "--start-method", "spawn")
    result.assert_outcomes(passed=1, errors=4)
    result.stdout.fnmatch_lines([f"*{many} workers need {many} CPUs, and there are *; use -n auto"])
    asked = suite.runpytest_subprocess("-n", many, "--bench-lease")
    asked.stderr.fnmatch_lines([f"ERROR: --bench-lease with {many} workers needs {many} CPUs, *; use -n auto"])


def test_a_plain_suite_is_pinned_where_that_is_asked_for(suite: pytest.Pytester) -> None:
    suite.makepyfile("import os\ndef test_it(): assert len(os.sched_getaffinity(0)) == 1")
    suite.runpytest_subprocess("--bench-lease").assert_outcomes(passed=1)


def test_a_dead_worker_is_a_crashed_test(suite: pytest.Pytester) -> None:
    suite.makepyfile("import os\ndef test_dies(): os._exit(3)\ndef test_lives(): pass")
    suite.runpytest_subprocess("-n", "1", "--bench-out", "out")
    assert {line.status for line in lines_of(suite) if isinstance(line, Test)} == {"crashed", "passed"}
    (end,) = [line for line in lines_of(suite) if isinstance(line, End)]
    assert end.status == "fail"


PARAMETERS = """
from bench import actor, deterministic, program, scenario

class Size:
    def __init__(self, value): self.value = value

@program(deterministic(6), samples=1, parameters={"count": [2, 3], "size": [Size(2)]})
def adds(mp, count, size):
    return count + size.value + (2 if count == 2 else 1)

@scenario(deterministic(2), parameters={"step": [1, 2]})
class Doubles:
    def __init__(self, mp, step):
        self.total, self.lock, self.step = mp.Value("i", 0), mp.Lock(), step

    def double(self):
        with self.lock:
            self.total.value += self.step

    @actor
    def first(self): self.double()

    @actor
    def second(self): self.double()

    def result(self): return self.total.value
"""


@pytest.mark.parametrize("method", METHODS)
def test_each_combination_of_parameters_is_observed_for_itself_in_each_mode(
    suite: pytest.Pytester, method: str
) -> None:
    suite.makepyfile(test_it=PARAMETERS)
    modes = ("--bench-mode", "repeat,stress,explore", "--bench-samples", "1", "--bench-seconds", "0.3")
    result = suite.runpytest_subprocess("--start-method", method, "--bench-out", "out", *modes)
    found = {
        (one.target.partition(":")[2], one.mode): (one.verdict, {each.outcome.value for each in one.outcomes})
        for one in lines_of(suite)
        if isinstance(one, Judged)
    }
    programs = {(f"adds[count={count},size=size0]", "repeat"): ("pass", {6}) for count in (2, 3)}
    right = {("Doubles[step=1]", mode): ("pass", {2}) for mode in ("stress", "explore")}
    wrong = {("Doubles[step=2]", mode): ("fail", {4}) for mode in ("stress", "explore")}
    assert found == {**programs, **right, **wrong}
    result.stdout.fnmatch_lines([f"again: pytest 'test_it.py::Doubles?step=2??{method}-explore?' *"])


def test_a_combination_is_chosen_by_its_name(plain: pytest.Pytester) -> None:
    plain.makepyfile(test_it=PARAMETERS)
    assert collected(plain, "test_it.py::adds", "--start-method", "fork") == [
        "adds[count=2,size=size0][fork]",
        "adds[count=3,size=size0][fork]",
    ]
    one = "adds[count=3,size=size0][fork]"
    assert collected(plain, f"test_it.py::{one}", "--start-method", "fork") == [one]


def test_parametrize_on_a_target_is_refused_with_what_to_write(plain: pytest.Pytester) -> None:
    mark = "import pytest\nfrom bench import deterministic, program\n\n@pytest.mark.parametrize('n', [1, 2])\n"
    plain.makepyfile(test_it=mark + "@program(deterministic(1))\ndef counts(mp, n=1): return 1\n")
    result = plain.runpytest_inprocess("test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*parametrize has no effect on counts; declare it with parameters={...}"])
