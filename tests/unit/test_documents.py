"""The examples in the documents, as far as they can be checked without running them.

`tests/process/test_documents.py` runs them, and says by which rules they are written.
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import click
import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own, for one call

from bench.cli import cli
from bench.errors import UsageError
from bench.matrix.config import parse_config
from bench.report.lines import plain
from bench.report.loaded import read
from bench.report.summary import report
from docs import extension
from docs.extension import commands, configuration, pytest_options
from tests import documents
from tests.documents import Block

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOT_RUN = ("pip", "python3", ".venv/bin/pip", ".venv/bin/tox", "tox", "git", "docker", "docker-compose", "pre-commit")
"""What a block of the language `sh` may call."""

SAME = "the same is run on "
"""The reason not to run a block that another page has as well, for the same command and with the same output."""

RECORDS = [
    json.loads(files("bench.schema").joinpath(name).read_text(encoding="utf-8"))
    for name in ("record-v1.json", "run-v1.json", "schedule-v1.json")
]


def check_python(block: Block) -> None:
    if block.mark.startswith("source "):
        check_source(block)
    else:
        assert not block.mark, "python blocks have no other mark than `source FILE`"
        compile(block.text, block.place, "exec")


def check_source(block: Block) -> None:
    source = (documents.ROOT / block.mark.removeprefix("source ")).read_text(encoding="utf-8")
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    for part in block.text.split("...\n"):
        wanted = [line.strip() for line in part.splitlines() if line.strip()]
        found = any(lines[at : at + len(wanted)] == wanted for at in range(len(lines)))
        assert found, f"this is not in {block.mark.removeprefix('source ')}:\n{part}"


def check_console(block: Block) -> None:
    word, _, reason = block.mark.partition(" ")
    assert word in ("", "alone", "container", "parse"), f"unknown mark {block.mark!r}"
    assert word != "parse" or reason, "say why it is not run: <!-- test: parse REASON -->"
    if reason.startswith(SAME):
        page = (documents.ROOT / reason.removeprefix(SAME)).read_text(encoding="utf-8")
        assert block.text.partition("\n")[0] in page
        assert block.text.partition("\n")[2] in page
    for command in documents.commands(block):
        words = shlex.split(command.text, comments=True)
        if words and words[0] in ("bench", "forkbench"):
            parse(words[1:])


def parse(arguments: list[str]) -> None:
    """Have click parse the arguments of a command, and not run it."""
    context = click.Context(cli, info_name="bench")
    if arguments and not arguments[0].startswith("-"):
        command = cli.get_command(context, arguments[0])
        assert command is not None, f"there is no bench {arguments[0]}"
        if not {"--help", "-h"} & set(arguments):
            command.make_context(arguments[0], arguments[1:], parent=context)


def check_sh(block: Block) -> None:
    for line in block.text.splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            assert not words or words[0] in NOT_RUN, f"{words[0]}: make it a console block, which is run"


def check_toml(block: Block) -> None:
    table = tomllib.loads(block.text)
    if "bench" in table.get("tool", {}):
        parse_config(table["tool"]["bench"], Path("pyproject.toml"))


def check_json(block: Block) -> None:
    try:
        values = [json.loads(block.text)]
    except ValueError:
        values = [json.loads(line) for line in block.text.splitlines() if line.strip()]
    for one in values:
        if isinstance(one, dict) and "v" in one:
            assert any(jsonschema.Draft202012Validator(schema).is_valid(one) for schema in RECORDS), one


def check_ini(block: Block) -> None:
    configparser.ConfigParser(interpolation=None).read_string(block.text)


def check_yaml(block: Block) -> None:
    yaml.safe_load(block.text)


def check_text(block: Block) -> None:
    word, _, folder = block.mark.partition(" ")
    assert word in ("", "report"), f"unknown mark {block.mark!r}"
    if word:
        assert block.text in plain(report(read(documents.ROOT / folder))), f"not in the report of {folder}"


def check_nothing(_: Block) -> None:
    pass


CHECKS: Mapping[str, Callable[[Block], None]] = {
    "python": check_python,
    "console": check_console,
    "sh": check_sh,
    "toml": check_toml,
    "json": check_json,
    "ini": check_ini,
    "yaml": check_yaml,
    "text": check_text,
    "{toctree}": check_nothing,
    "{eval-rst}": check_nothing,
    "{include}": check_nothing,  # Sphinx misses a file that is not there
}

BLOCKS = [block for page in documents.pages() for block in documents.blocks(page)]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_what_its_language_says(block: Block) -> None:
    assert block.language in CHECKS, f"{block.place}: name a language, one of {', '.join(CHECKS)}"
    CHECKS[block.language](block)


@pytest.mark.parametrize(
    ("language", "mark", "text"),
    [
        ("python", "", "def broken(:\n"),
        ("python", "source bench/errors.py", "class BenchError(Exception):\n    exit_status = 9\n"),
        ("console", "", "$ bench no-such-command\n"),
        ("console", "", "$ bench run --no-such-option\n"),
        ("console", "", "no prompt\n"),
        ("console", "parse", "$ bench list\n"),
        ("console", "perhaps", "$ bench list\n"),
        ("text", "report tests/fixtures/recorded/documented", "11 passed, 1 failed\n"),
        ("sh", "", "bench run\n"),
        ("toml", "", "[tool.bench]\nno_such_key = 1\n"),
        ("json", "", '{"v": 1, "type": "end"}\n'),
    ],
)
def test_what_is_wrong_is_noticed(language: str, mark: str, text: str) -> None:
    block = Block(documents.ROOT / "README.md", 1, language, text, mark)
    with pytest.raises((AssertionError, SyntaxError, UsageError, click.UsageError)):
        CHECKS[language](block)


def test_blocks_are_read_with_their_marks_and_files() -> None:
    text = "<!-- test: container -->\n\n```console\n$ bench list\n```\n\n  ```python\n  # a/b.py\n  x = 1\n  ```\n"
    first, second = documents._blocks(documents.ROOT / "README.md", text.splitlines())
    assert (first.language, first.mark, first.line, first.file) == ("console", "container", 3, "")
    assert (second.language, second.mark, second.file, second.text) == ("python", "", "a/b.py", "# a/b.py\nx = 1\n")


def test_commands_have_their_output_and_their_status() -> None:
    text = "$ bench run \\\n    a.py\nshown\n$ echo $?\n1\n$ bench list\n"
    first, second = documents.commands(Block(documents.ROOT / "README.md", 1, "console", text, ""))
    assert (first.text.split(), first.shown, first.status) == (["bench", "run", "a.py"], ("shown",), 1)
    assert (second.text, second.shown, second.status) == ("bench list", (), 0)


@pytest.mark.parametrize(
    ("shown", "output"),
    [
        (["6 schedules in 0.3 s"], ["6 schedules in 12.5 s"]),
        (["   4  66.7 % ####   1  interesting"], ["  40  66.1 % ##  1  interesting"]),
        (["first", "...", "last"], ["first", "between", "", "last"]),
        (["first", "..."], ["first", "second"]),
        (["made ... by now"], ["made of something by now"]),
        (["a-0123abcd.jsonl"], ["a-ffffffff.jsonl"]),
    ],
)
def test_output_may_differ_in_what_differs_from_run_to_run(shown: list[str], output: list[str]) -> None:
    assert documents.missing(shown, output) is None


@pytest.mark.parametrize(
    ("shown", "output"),
    [
        (["6 schedules in 0.3 s"], ["5 schedules in 0.3 s"]),
        (["gives 1"], ["gives 2"]),
        (["first", "last"], ["first", "between", "last"]),
        (["first"], ["first", "more"]),
        (["first", "..."], ["before", "first"]),
        (["first"], []),
    ],
)
def test_output_may_not_differ_in_anything_else(shown: list[str], output: list[str]) -> None:
    assert documents.missing(shown, output) is not None


def test_the_reference_has_every_command_option_and_key() -> None:
    options = commands.section()
    assert all(f"## bench {name}" in options for name in ("list", "run", "matrix", "explore", "replay", "cell"))
    assert "`--strategy" in options
    assert "`--start-method M`" in pytest_options.section()
    assert "`targets` | a string or a list of strings |" in configuration.section()


SET_UP = """
    python3 -m venv .venv && .venv/bin/pip install --quiet tox && .venv/bin/tox run -e demos

The tests of the project, with lint and types:

    python3 -m venv .venv && .venv/bin/pip install --quiet tox && .venv/bin/tox run
"""


def test_the_readme_is_short_and_has_the_two_commands_that_set_up_all() -> None:
    readme = (documents.ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.partition("## More")[0].split()) <= 400
    assert SET_UP in readme
    assert readme.count("python3 -m venv") == 2


def test_the_rooms_in_the_drawing_of_the_architecture_are_there() -> None:
    drawing = (documents.ROOT / "docs" / "_static" / "processes.svg").read_text(encoding="utf-8")
    rooms = re.findall(r'class="room"[^>]*>([^<]+)<', drawing)
    assert len(rooms) > 10
    package = documents.ROOT / "bench"
    assert [room for room in rooms if not [*package.glob(room.rstrip("/")), *package.glob(f"{room}.py")]] == []


def test_the_page_on_architecture_names_every_room() -> None:
    page = (documents.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = documents.ROOT / "bench"
    rooms = {*package.iterdir(), *(package / "explore").iterdir(), *(package / "matrix").iterdir()}
    names = {room.stem for room in rooms if not room.name.startswith(("_", ".")) and room.suffix in (".py", "")}
    named = set(re.findall(r"`([a-z_]+)/?`", page))
    assert names - named == {"called", "schema"}, "what is no room: the command's name, the schemas"


def test_every_generated_section_is_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in documents.pages())
    assert [name for name in extension.SECTIONS if f"<!-- generated: {name} -->" not in text] == []
