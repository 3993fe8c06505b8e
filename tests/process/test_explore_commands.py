"""`bench explore`, `bench replay`, `bench run --mode explore` and pytest's `--bench-mode explore` on real processes."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import bench
from bench.explore.findings.schedule import read
from bench.explore.replay import replay
from bench.outcomes import METHODS
from bench.process import tree
from bench.record import Judged, from_json
from bench.targets import find

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

EXPLORED = Path(__file__).parent.parent / "fixtures" / "explored.py"
SCHEMA = json.loads((Path(bench.__file__).parent / "schema" / "record-v1.json").read_text())

Ran = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    """Run a command line of `bench` in an empty project that holds scenarios and programs, with a cache of its own."""
    for file in (EXPLORED, EXPLORED.with_name("explored_programs.py")):
        shutil.copy(file, tmp_path / file.name)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "120"}
    root = Path(bench.__file__).parent.parent
    environment["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        words = list(arguments)
        words[:1] = [sys.executable, "-m", words[0]]
        return subprocess.run(
            words, capture_output=True, text=True, cwd=tmp_path, env={**environment, **more}, timeout=300, check=False
        )

    return run


def replay_of(out: str) -> list[str]:
    """Give the words of the first command to replay that an output prints."""
    row = next(row for row in out.splitlines() if row.strip().startswith("again: bench replay"))
    return shlex.split(row.partition("again: ")[2])


@pytest.mark.parametrize("method", METHODS)
def test_a_race_is_found_told_and_replayed(method: str, ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::Wrong", "--method", method)
    assert done.returncode == 1, done.stderr
    assert f"FAIL    explored:Wrong  [explore, {method}, local]" in done.stdout
    assert "reads count: 0" in done.stdout
    assert "overwrites what step 3 wrote: it had read before, in step 1" in done.stdout
    assert "by 1 preemption, 4 steps (depth 2)" in done.stdout
    again = ran(*replay_of(done.stdout))
    assert again.returncode == 1, again.stderr
    assert "still happens, 20 of 20" in again.stdout
    assert "overwrites what step 3 wrote" in again.stdout


def test_a_finding_of_forkbench_is_replayed_by_the_line_that_it_prints(tmp_path: Path, ran: Ran) -> None:
    (tmp_path / "forkbench.py").write_text("import sys\nfrom bench.cli import main\nsys.exit(main())\n")
    done = ran("forkbench", "explore", "explored.py::Wrong", "--method", "fork")
    assert done.returncode == 1, done.stderr
    (line,) = [row for row in done.stdout.splitlines() if "again: " in row]
    words = shlex.split(line.partition("again: ")[2])
    assert words[:2] == ["forkbench", "replay"]
    again = ran(*words, "--times", "1")
    assert again.returncode == 1, again.stderr
    assert "still happens, 1 of 1" in again.stdout


def test_one_found_under_fork_replays_under_each_method(ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::Wrong", "--method", "fork")
    for method in METHODS[1:]:
        again = ran(*replay_of(done.stdout), "--method", method, "--times", "7")
        assert again.returncode == 1, again.stderr
        assert "still happens, 7 of 7" in again.stdout
        assert f"under {method} (found under fork)" in again.stdout


def test_a_racy_target_passes_with_the_story_of_one_outcome(ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::Races", "--method", "fork")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pass    explored:Races")
    assert done.stdout.count("again: ") == 1
    assert "interesting: nothing protects it" in done.stdout


def test_depth_first_counts_every_interleaving(ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::Races", "--strategy", "dfs", "--method", "fork")
    assert "  6 schedules in " in done.stdout
    assert "all 6 interleavings" in done.stdout


def test_a_racy_target_that_cannot_race_is_unknown(ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::NeverRaces", "--method", "fork")
    assert done.returncode == 5
    assert "why: a racy target of which only one outcome was seen" in done.stdout


def test_a_deadlock_is_told_as_a_circle_with_each_stack(ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::Crossed", "--method", "spawn")
    assert done.returncode == 0, done.stderr
    rows = [row.strip() for row in done.stdout.splitlines()]
    assert "a circle:" in rows
    assert "forth waits for b, which back holds" in rows
    assert "back waits for a, which forth holds" in rows
    assert sum("explored.py" in row and "line" in row for row in rows) == 2
    again = ran(*replay_of(done.stdout), "--times", "3")
    assert again.returncode == 1, again.stderr
    assert "still happens, 3 of 3" in again.stdout
    assert "a circle:" in again.stdout


def test_what_an_actor_raises_is_told_with_its_traceback(ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::Ends", "--method", "fork")
    assert done.returncode in (0, 1), done.stderr
    assert "raise ValueError" in done.stdout
    assert "bench/explore" not in done.stdout


def test_once_the_bug_is_gone_a_replay_says_so(ran: Ran, tmp_path: Path) -> None:
    words = replay_of(ran("bench", "explore", "explored.py::Wrong", "--method", "fork").stdout)
    file = tmp_path / "explored.py"
    text = file.read_text()
    file.write_text(
        text.replace("self.count.value += 1", "self.count.value", 1).replace("return self.count.value", "return 2", 1)
    )
    again = ran(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "no longer happens: 20 of 20 gave 2 (20)" in again.stdout
    assert "note: " in again.stdout


def test_where_a_schedule_cannot_be_followed_the_step_is_named(ran: Ran, tmp_path: Path) -> None:
    words = replay_of(ran("bench", "explore", "explored.py::Wrong", "--method", "fork").stdout)
    again = ran(*words, "--target", "explored.py::Locked")
    assert again.returncode == 5, again.stdout + again.stderr
    assert "cannot be followed at step 2: expected second reads count at explored.py:" in again.stdout
    assert "second acquires the lock of count" in again.stdout
    assert "has to wait" in again.stdout


def test_records_name_their_schedules_and_are_of_the_form(ran: Ran, tmp_path: Path) -> None:
    done = ran("bench", "run", "explored.py::Wrong", "--mode", "explore", "--method", "fork", "--out", "a run")
    assert done.returncode == 1, done.stderr
    assert replay_of(done.stdout)[2].startswith("a run/schedules/explored.Wrong-fork-")
    assert ran(*replay_of(done.stdout), "--times", "2").returncode == 1
    lines = [json.loads(line) for line in (tmp_path / "a run/cells/local.jsonl").read_text().splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    observed = next(line for line in lines if line["type"] == "observation")
    assert observed["samples"] == observed["explore"]["schedules"]
    assert observed["explore"]["complete"] is True
    schedule = read(tmp_path / "a run" / observed["explore"]["schedule"])
    assert (schedule.target, schedule.outcome["text"], schedule.preemptions) == ("explored:Wrong", "1", 1)
    assert isinstance(from_json(observed), Judged)
    assert not (tmp_path / "cache" / "forkbench").exists()


def test_json_on_standard_output_is_lines_alone(ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::Wrong", "--method", "fork", "--json", "-")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["facts", "observation", "end"]
    assert "overwrites" in done.stderr


def test_without_a_target_the_demos_that_are_scenarios_are_explored(ran: Ran) -> None:
    done = ran("bench", "explore", "--method", "fork", "--seconds", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bench.demos.account:AccountWithLock  [explore" in done.stdout
    assert "programs left out, each schedule of which starts processes; name one to explore it" in done.stderr


def test_a_terminal_without_utf8_gets_ascii(ran: Ran) -> None:
    done = ran("bench", "explore", "explored.py::Races", "--method", "fork", PYTHONIOENCODING="ascii:backslashreplace")
    assert "-- interrupted ->" in done.stdout
    assert done.stdout.partition("\n\n")[2].isascii()


def bad(replace: tuple[str, str] | None = None, cut: int | None = None) -> Callable[[str], str]:
    return lambda text: text.replace(*replace)[:cut] if replace else text[:cut]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (bad(cut=-30), "torn"),
        (bad(('"v": 1', '"v": 9')), "a schedule of version 9; this forkbench reads up to 1: upgrade"),
        (bad(('"file": "explored.py"', '"file": "gone.py"')), "give its place with --target FILE::NAME"),
        (bad(('"method": "fork"', '"method": "vfork"')), "unknown start method 'vfork'"),
        (bad(("explored:Wrong", "explored:Wrung")), "no program Wrung in"),
    ],
)
def test_a_mistake_gets_one_clear_line(change: Callable[[str], str], said: str, ran: Ran, tmp_path: Path) -> None:
    words = replay_of(ran("bench", "explore", "explored.py::Wrong", "--method", "fork").stdout)
    file = tmp_path / words[2]
    (tmp_path / "bad.jsonl").write_text(change(file.read_text()))
    done = ran("bench", "replay", "bad.jsonl")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_program_is_explored_and_its_schedule_replayed(ran: Ran) -> None:
    done = ran("bench", "explore", "explored_programs.py::unlocked", "--method", "fork")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all interleavings" in done.stdout
    title = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["main"])
    assert title.split() == ["main", "Process-1", "Process-2"]
    assert "overwrites what step" in done.stdout
    again = ran(*replay_of(done.stdout), "--times", "3")
    assert again.returncode == 1, "it still happens"
    assert "still happens, 3 of 3" in again.stdout


def test_pytest_explores_and_its_failure_tells_the_story(ran: Ran, tmp_path: Path) -> None:
    arguments = ("explored.py", "--bench-mode", "explore", "--start-method", "fork", "-p", "no:cacheprovider")
    plugin = () if _installed() else ("-p", "bench.pytest_plugin")
    done = ran("pytest", *arguments, *plugin, "--bench-out", "out", "-k", "Wrong or Races or Locked")
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "overwrites what step 3 wrote" in done.stdout
    words = replay_of(done.stdout)
    assert words[2].startswith("out/schedules/explored.Wrong-fork-")
    line = next(row for row in done.stdout.splitlines() if row.startswith("again: pytest 'explored.py::Wrong"))
    repeated = ran(*shlex.split(line.partition("again: ")[2]), "-p", "no:cacheprovider", *plugin)
    assert "1 failed" in repeated.stdout, repeated.stdout + repeated.stderr
    assert ran(*words, "--times", "2").returncode == 1
    (record,) = [
        one
        for one in map(json.loads, (tmp_path / "out/cells/local.jsonl").read_text().splitlines())
        if one["type"] == "observation" and one["target"] == "explored:Wrong"
    ]
    assert record["explore"]["schedule"].startswith("schedules/explored.Wrong-fork-")


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(entry.value == "bench.pytest_plugin" for entry in entry_points(group="pytest11"))


def test_a_mark_says_that_a_scenario_is_explored(ran: Ran, tmp_path: Path) -> None:
    text = (tmp_path / "explored.py").read_text()
    marked = text.replace(
        "@scenario(racy(2))\nclass Races", "@pytest.mark.bench_mode('explore')\n@scenario(racy(2))\nclass Races"
    )
    (tmp_path / "explored.py").write_text(marked.replace("import os\n", "import os\n\nimport pytest\n"))
    plugin = () if _installed() else ("-p", "bench.pytest_plugin")
    done = ran(
        "pytest",
        "explored.py",
        "--start-method",
        "fork",
        "-p",
        "no:cacheprovider",
        *plugin,
        "-k",
        "Races and not Never",
        "-v",
    )
    assert "explored.py::Races[fork-explore] PASSED" in done.stdout, done.stdout + done.stderr


def test_nothing_is_left_of_any_exploration(ran: Ran) -> None:
    ran("bench", "explore", "explored.py::Crossed", "--method", "forkserver")
    assert not [proc for proc in tree.processes() if _is_of(proc, str(EXPLORED.name))]


def _is_of(proc: Any, name: str) -> bool:
    return "BENCH_EXPLORE" in tree.environment(proc.pid) and name in str(tree.environment(proc.pid))


RECORDED = sorted((EXPLORED.parent / "schedules").glob("*.jsonl"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_was_recorded_on_python_3_11_under_fork_happens_here(path: Path, method: str) -> None:
    schedule = read(path)
    assert (schedule.python[:4], schedule.method) == ("3.11", "fork")
    (found,) = find([schedule.target])
    came = replay(schedule, found, method=method, times=3)
    assert came.happened == 3, came.text()
