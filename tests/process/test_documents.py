r"""Every example in the README and in the documents does what the page says.

A page is run from its first block to its last in one temporary folder; what a block does follows from its language.

    python    With a first line `# lost.py` (a comment that is a file's name) the block is written to that file, for the
              blocks after it. Without one it is run as a script of its own. Below a comment
              `<!-- test: source bench/demos/account.py -->` it is neither: it must be a part of that file, word by word
              (indentation and lines `...` aside).
    console   Each line `$ COMMAND` is run and must end with exit status 0, or with the one that a
              line `$ echo $?` after it shows. Output that is shown below it must be the output: `...` on a line of its
              own stands for any lines, `...` within a line for any text. Times, rates, percentages, sizes and the hash
              in the name of a schedule may differ. No output shown: none is compared. A `\` continues a command.
    toml      Must be TOML; a table `[tool.bench]` is read by the project's own reader. A first line `# pyproject.toml`
              writes it to that file.
    json      Must be JSON, one value for each line or one for the block. Lines with a `"v"` must be valid records.
    ini, yaml Must parse. A first line `# tox.ini` writes it to that file.
    sh        Never run; for what nobody can run in a test (pip, tox, git, docker, ...). `bench` and `pytest` belong
              into `console`.
    text      Never run; for drawings, and for output whose figures are not those of any machine. Below a comment
              `<!-- test: report FOLDER -->` it must be a part of the report of the run that is recorded there.

Three marks, each in a comment on a line of its own above a block, for console blocks that cannot be run everywhere:

    <!-- test: alone -->           is run where the tests have the CPUs to themselves: for stress
    <!-- test: container -->       is run by `tests/container/test_documents.py`, where a Docker engine answers
    <!-- test: parse REASON -->    the commands are not run, but their options and arguments must be ones that exist

A block without a language is an error. `tests/unit/test_documents.py` checks what needs no process.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from docs import pictures
from tests import documents

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the examples are run by bash, on Linux")


def name(page: Path) -> str:
    return str(page.relative_to(documents.ROOT))


@pytest.mark.once
@pytest.mark.parametrize("page", documents.pages_with(), ids=name)
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    documents.run_page(page, tmp_path)


@pytest.mark.alone
@pytest.mark.parametrize("page", documents.pages_with("alone"), ids=name)
def test_the_examples_of_a_page_that_need_the_cpus_do_what_it_says(page: Path, tmp_path: Path) -> None:
    documents.run_page(page, tmp_path, "alone")


@pytest.mark.once
def test_the_picture_of_the_front_page_is_what_its_command_makes_today() -> None:
    assert texts(pictures.RACE.read_text(encoding="utf-8")) == texts(pictures.draw(pictures.coloured_output()))


def texts(svg: str) -> list[str]:
    """Return the lines of text of a picture, without what differs from run to run."""
    rows: dict[float, str] = {}
    for one in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        place = float(one.get("y") or 0)
        rows[place] = f"{rows.get(place, '')} {one.text or ''}"
    return [documents.stable(row) for _, row in sorted(rows.items())]
