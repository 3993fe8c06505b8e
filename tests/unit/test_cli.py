"""The command: its help, its errors, and what it prints; nothing here starts a container."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import jsonschema
import pytest

import bench.cli
from bench import errors
from bench.cli import BROKEN_PIPE, COMMANDS, main
from bench.cli.options import split
from bench.cli.output import COLOURS, show
from bench.report.lines import Span, line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Ran = Callable[..., tuple[int, str, str]]

GOOD = """
from bench import deterministic, program

@program(deterministic(3), samples=1)
def three(mp):
    '''Gives three.'''
    return 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project that is the current folder; nothing in it is imported twice."""
    for name in ("CI", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'p'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str]) -> Ran:
    """Run a command line in this process: its exit status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def clear(err: str) -> bool:
    """Tell whether an error is one or two lines for a person."""
    return err.startswith("bench: ") and len(err.splitlines()) <= 2 and "Traceback" not in err


def test_every_subcommand_has_its_line_in_the_help_and_help_of_its_own(
    ran: Ran,
) -> None:
    status, out, _ = ran("--help")
    assert status == 0
    for name in COMMANDS:
        assert f"  {name}  " in out
        assert ran(name, "--help")[:1] == (0,)


def test_the_help_names_every_exit_status(ran: Ran) -> None:
    classes = [one for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_status")]
    statuses = {errors.PASSED, errors.FAILED, *(one.exit_status for one in classes)}
    out = ran("--help")[1]
    listed = {int(row.split()[0]) for row in out.partition("Exit status:")[2].splitlines() if row.strip()}
    assert listed == statuses


def test_the_help_imports_nothing_that_only_a_command_needs() -> None:
    code = "import sys; from bench.cli import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"docker", "rich", "pytest", "multiprocessing", "bench.matrix.plan", "bench.repeat"} & set(
        eval(done.stderr)
    )


def test_the_version_is_printed(ran: Ran) -> None:
    status, out, _ = ran("--version")
    assert status == 0
    assert out.startswith("forkbench ")


BROKEN = {
    "broken.py": "import nothing_of_this_name\n",
    "syntax.py": "def f(:\n",
    "leaves.py": "raise SystemExit(3)\n",
    "twice.py": f"{GOOD}{GOOD}",
    "empty.py": "x = 1\n",
    "good.py": GOOD,
    "other/good.py": GOOD,
}

BAD_INPUT = {
    "no such subcommand": (("frobnicate",), 2, "no such command 'frobnicate'"),
    "no such option": (("list", "--frob"), 2, "no such option '--frob'"),
    "no cell": (("cell",), 2, "missing argument 'NAME'"),
    "no file": (("list", "nothing.py"), 2, "there is no file nothing.py"),
    "below a file": (("list", "good.py/x.py"), 2, "there is no file good.py/x.py"),
    "a link to nowhere": (("list", "folder/"), 2, "cannot read folder/dangling.py"),
    "does not import": (("list", "broken.py"), 2, "cannot import broken: ModuleNotFoundError"),
    "no Python": (("list", "syntax.py"), 2, "cannot import syntax: SyntaxError"),
    "leaves when imported": (("list", "leaves.py"), 2, "cannot import leaves: SystemExit"),
    "two programs of one name": (("list", "twice.py"), 2, "two programs named three"),
    "two modules of one name": (("list", "good.py", "other/good.py"), 2, "good"),
    "a file without programs": (("list", "empty.py"), 3, "no program in empty.py"),
    "unknown program": (("run", "good.py::thre"), 2, "no program thre in good.py; did you mean three?"),
    "unknown demo": (("run", "bench.demos.acount"), 2, "cannot import bench.demos.acount"),
    "no target": (("run", "a b"), 2, "'a b' is no target"),
    "unknown method": (("run", "good.py", "--method", "vfork"), 2, "unknown start method 'vfork'; there are fork"),
    "unknown mode": (("run", "good.py", "--mode", "guess"), 2, "'guess' is not"),
    "no samples": (("run", "good.py", "--samples", "0"), 2, "--samples"),
    "no time": (("run", "good.py", "--seconds", "0"), 2, "give a time in seconds, more than 0"),
    "endless": (("run", "good.py", "--deadline", "inf"), 2, "give a time in seconds, more than 0"),
    "no number": (("run", "good.py", "--seconds", "soon"), 2, "'soon' is no number of seconds"),
    "seed": (("run", "good.py", "--seed", "-1"), 2, "--seed"),
    "out below a file": (("run", "good.py", "--out", "good.py/x"), 2, "cannot write to good.py/x: Not a directory"),
    "out in /proc": (("run", "good.py", "--out", "/proc/x"), 2, "cannot write to /proc/x"),
    "json below a file": (("list", "good.py", "--json", "good.py/x"), 2, "cannot write good.py/x"),
    "json of a run below a file": (("run", "good.py", "--json", "good.py/x"), 2, "cannot write good.py/x"),
    "no whole number": (("run", "good.py", "--samples", "1.5"), 2, "'1.5' is not a valid whole number"),
    "matrix: Python": (("matrix", "--python", "3.9"), 2, "unknown Python '3.9'; there are 3.10"),
    "matrix: method": (("matrix", "--method", "vfork"), 2, "unknown start method 'vfork'"),
    "matrix: demo": (("matrix", "bench.demos:nothing"), 2, "no program nothing in bench.demos"),
    "matrix: engine": (("matrix", "--engine", "podman"), 2, "unknown engine 'podman'; there are auto, docker, local"),
    "matrix: 0 CPUs": (("matrix", "--cpus", "0"), 2, "CPUs '0': give whole numbers from 1 to 1024"),
    "matrix: -1 CPUs": (("matrix", "--cpus", "-1"), 2, "CPUs '-1'"),
    "matrix: abc CPUs": (("matrix", "--cpus", "abc"), 2, "CPUs 'abc'"),
    "matrix: 4096 CPUs": (("matrix", "--cpus", "4096"), 2, "CPUs '4096'"),
    "matrix: shard": (("matrix", "--shard", "3/2"), 2, "shard '3/2': give I/N"),
    "matrix: select": (("matrix", "--select", "py27-*", "--dry-run"), 2, "--select py27-* matches no cell"),
    "matrix: nothing left": (("matrix", "--skip", "*", "--dry-run"), 3, "leave none of the"),
    "matrix: empty command": (("matrix", "--"), 2, "no command after --"),
    "matrix: both": (("matrix", "good.py", "--", "pytest"), 2, "not both"),
    "matrix: outside": (("matrix", "/etc/passwd.py"), 2, "there is no file /etc/passwd.py"),
    "matrix: out": (("matrix", "good.py", "--out", "good.py/x", "--engine", "local"), 2, "cannot write to good.py/x"),
    "matrix: no engine": (("matrix", "good.py", "--engine", "docker"), 4, "no Docker engine answers"),
    "cell: name": (("cell", "py314"), 2, "'py314' is no cell's name; they look like py314-spawn-cpu2"),
    "cell: Python": (("cell", "py39-fork-cpu1"), 2, "unknown Python 'py39'"),
    "cell: method": (("cell", "py314-vfork-cpu1"), 2, "unknown start method 'vfork'"),
    "cell: CPUs": (("cell", "py314-fork-cpu0"), 2, "CPUs '0'"),
    "images: Python": (("images", "--python", "2.7"), 2, "unknown Python '2.7'"),
    "images: no engine": (("images",), 4, "no Docker engine answers"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_gets_one_clear_line_and_its_exit_status(
    name: str, here: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    for file, text in BROKEN.items():
        (here / file).parent.mkdir(exist_ok=True)
        (here / file).write_text(text)
        monkeypatch.delitem(sys.modules, (here / file).stem, raising=False)
    (here / "folder").mkdir()
    (here / "folder" / "dangling.py").symlink_to("nowhere")
    arguments, status, said = BAD_INPUT[name]
    found, out, err = ran(*arguments)
    assert clear(err), err
    assert said in err
    assert (found, out) == (status, "")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("pythons = ['3.14']", "unknown key 'pythons' in [tool.bench]; did you mean python?"),
        ("cpus = 0", "cpus in [tool.bench] is 0; give numbers of CPUs"),
        ("engine = 'podman'", "engine in [tool.bench] is 'podman'"),
        ("samples = ", "is no valid TOML"),
    ],
)
def test_a_mistake_in_the_configuration_is_reported_by_its_key(table: str, said: str, here: Path, ran: Ran) -> None:
    (here / "pyproject.toml").write_text(f"[tool.bench]\n{table}\n")
    status, _, err = ran("matrix", "--dry-run", "--engine", "local")
    assert status == 2
    assert clear(err), err
    assert said in err


def test_list_shows_each_program_with_its_line(here: Path, ran: Ran) -> None:
    (here / "listed.py").write_text(GOOD)
    assert ran("list", "listed.py") == (0, "listed:three  Gives three.\n", "")
    assert ran("list", "listed") == (0, "listed:three  Gives three.\n", "")
    status, out, _ = ran("list", "listed.py", "--json", "-")
    assert status == 0
    assert json.loads(out)[0]["target"] == "listed:three"
    assert ran("list", "listed.py", "--json", "o.json")[1] == "listed:three  Gives three.\n"
    assert json.loads((here / "o.json").read_text())[0]["summary"] == "Gives three."


def test_run_writes_the_records_that_the_schemas_describe(here: Path, ran: Ran) -> None:
    (here / "ran.py").write_text(GOOD)
    status, out, err = ran("run", "ran.py", "--method", "spawn,fork", "--out", "o", "--json", "r.jsonl", "--seed", "5")
    assert status == 0
    assert [row.split()[0] for row in out.splitlines() if "ran:three" in row] == ["pass", "pass"]
    assert err == "bench: records: o\n"
    lines = [json.loads(row) for row in (here / "o/cells/local.jsonl").read_text().splitlines()]
    assert [one["type"] for one in lines] == ["facts", "observation", "observation", "end"]
    assert [one["method"] for one in lines[1:3]] == ["fork", "spawn"]
    assert (here / "r.jsonl").read_text() == (here / "o/cells/local.jsonl").read_text()
    schemas = bench.cli.__path__[0].replace("cli", "schema")
    for one in lines:
        with open(f"{schemas}/record-v1.json", encoding="utf-8") as file:
            jsonschema.validate(one, json.load(file))
    with open(f"{schemas}/run-v1.json", encoding="utf-8") as file:
        jsonschema.validate(json.loads((here / "o/run.json").read_text()), json.load(file))
    again = ran("run", "ran.py", "--out", "o")
    assert again[0] == 2
    assert "holds a run already" in again[2]


def test_run_reports_a_failure_and_json_has_standard_output_alone(here: Path, ran: Ran) -> None:
    (here / "wrong.py").write_text("print('imported')\n" + GOOD.replace("return 3", "return 4"))
    status, out, err = ran("run", "wrong.py", "--method", "spawn", "--json", "-")
    assert status == 1
    assert [json.loads(row)["type"] for row in out.splitlines()] == ["facts", "observation", "end"]
    assert "forbidden: nobody listed it" in err


def test_what_cannot_be_judged_is_inconclusive(here: Path, ran: Ran) -> None:
    (here / "open.py").write_text(
        "from bench import program, racy\n\n@program(racy(lambda v: 1 / 0))\ndef f(mp):\n    return 1\n"
    )
    status, out, _ = ran("run", "open.py", "--method", "spawn", "--samples", "1")
    assert status == 5
    assert "an expectation raised ZeroDivisionError" in out


def test_the_reader_of_a_pipe_may_leave(here: Path) -> None:
    (here / "piped.py").write_text(GOOD)
    command = f"{sys.executable} -m bench list piped.py | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=here)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [("list", "bench.demos"), ("--version",)])
def test_output_that_nobody_reads_is_no_failed_test(here: Path, arguments: tuple[str, ...]) -> None:
    command = subprocess.Popen([sys.executable, "-m", "bench", *arguments], stdout=subprocess.PIPE, cwd=here)
    assert command.stdout is not None
    command.stdout.close()
    assert command.wait() == BROKEN_PIPE


def test_colours_are_for_terminals_that_want_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line(Span("bad", "bad"), Span("   ", "dim"), "  ")]
    show(lines)
    assert capsys.readouterr().out == "bad\n"
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda _, colour: colour is False)
    show(lines)
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    show(lines)
    assert capsys.readouterr().out == "bad\n"


def test_styles_are_those_that_click_knows() -> None:
    assert all(click.style("x", **look) for look in COLOURS.values())


def test_lists_are_split_at_commas_and_hold_each_entry_once() -> None:
    assert split(("fork,spawn", "spawn forkserver")) == ["fork", "spawn", "forkserver"]
