"""The examples of the README and of the documents: fenced blocks, read from Markdown, and what their output shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<info>.*)$")
_MARK = re.compile(r"^\s*<!-- test: (?P<text>.+?) -->\s*$")
_FILE = re.compile(r"#\s*(?P<name>[\w./-]+\.\w+)\s*")

PROGRAMS: Mapping[str, str] = {"bench": " -m bench", "forkbench": " -m bench", "pytest": " -m pytest", "python": ""}
"""The commands that examples call, each with what follows the name of this Python."""

_VOLATILE: Sequence[tuple[str, str]] = (
    (r"\s+", " "),
    (r"[\d,.]+ (steps|samples|schedules)/s", r"N \1/s"),
    (r"(?:[\d,]+ +)?\d+\.\d+ ?%", "N %"),
    (r"\b\d{1,3}(,\d{3})+ (samples|schedules)", r"N \2"),
    (r"\b[\d,]+(\.\d+)? ?(s|ms|MB|MiB)\b", r"N \2"),
    (r"\b\d+\.\d+ x the lower bound", "N x the lower bound"),
    (r"-[0-9a-f]{8}\.jsonl", "-HASH.jsonl"),
    (r"[#▏▎▍▌▋▊▉█]{1,}", ""),
    (r"[=_-]{3,}", "---"),
    (r" +", " "),
)
"""What differs from run to run, with what stands for it: rates, shares, times and their ratios, sizes, names made of
a hash, bars."""


_NOT_A_READERS = ("PYTEST_", "BENCH_", "XDG_", "CI", "BUILD_NUMBER", "GITHUB_", "FORCE_COLOR", "PY_COLORS", "NO_COLOR")
"""Beginnings of variables by which commands print otherwise than at a terminal: in CI pytest shortens no line."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, its line in the page, and the mark in the comment above it."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def place(self) -> str:
        """The page and the line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The name of the file that it is, as its first line says in a comment; empty for a fragment."""
        found = _FILE.fullmatch(self.text.partition("\n")[0])
        return found["name"] if found else ""


@dataclass(frozen=True)
class Command:
    """A line after a prompt, with the output shown below it; `status` is what `echo $?` shows after it, else 0."""

    line: int
    text: str
    shown: tuple[str, ...]
    status: int = 0


def pages() -> list[Path]:
    """Return all pages: those of the project's folder, and the documents."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in their order."""
    return list(_blocks(page, page.read_text(encoding="utf-8").splitlines()))


def _blocks(page: Path, lines: Sequence[str]) -> Iterator[Block]:
    mark, at = "", 0
    while at < len(lines):
        if (start := _FENCE.match(lines[at])) is None:
            mark = found["text"] if (found := _MARK.match(lines[at])) else mark if not lines[at].strip() else ""
            at += 1
            continue
        end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == start["fence"])
        inner = [line.removeprefix(start["indent"]) for line in lines[at + 1 : end]]
        yield Block(page, at + 1, start["info"].strip().partition(" ")[0], "\n".join(inner) + "\n", mark)
        mark, at = "", end + 1


def commands(block: Block) -> list[Command]:
    """Return the commands of a block of the language `console`."""
    found: list[Command] = []
    for number, line in enumerate(_joined(block.text), block.line + 1):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], ()))
        elif found:
            last = found.pop()
            found.append(Command(last.line, last.text, (*last.shown, line)))
        else:
            raise AssertionError(f"{block.place}: a console block starts with a prompt, `$ `")
    return list(_with_statuses(found))


def _joined(text: str) -> Iterator[str]:
    """Split into lines; a command that a backslash continues is one."""
    yield from text.replace("\\\n", "").splitlines()


def _with_statuses(found: Sequence[Command]) -> Iterator[Command]:
    for one, after in zip(found, [*found[1:], None], strict=True):
        if one.text != "echo $?":
            told = after is not None and after.text == "echo $?"
            yield Command(one.line, one.text, one.shown, int(after.shown[0]) if told and after else 0)


def stable(line: str) -> str:
    """Return a line of output without what differs from run to run."""
    for pattern, instead in _VOLATILE:
        line = re.sub(pattern, instead, line)
    return line.strip()


def missing(shown: Sequence[str], output: Sequence[str]) -> str | None:
    """Return the first line that is shown and that the output does not have, or `None`.

    Blank lines do not count. A line `...` stands for any lines, and `...` in a line for any text. Whatever else is
    shown must be the output from its first line to its last.
    """
    wanted = [one for one in map(stable, shown) if one]
    rest = [one for one in map(stable, output) if one]
    skip = False
    for one in wanted:
        if one == "...":
            skip = True
            continue
        pattern = re.compile(".*".join(map(re.escape, one.split("..."))))
        near = range(len(rest)) if skip else range(min(1, len(rest)))
        if (at := next((n for n in near if pattern.fullmatch(rest[n])), None)) is None:
            return one
        rest, skip = rest[at + 1 :], False
    return None if skip or not rest else f"nothing more, but there is {rest[0]!r}"


def is_run(block: Block, mark: str = "") -> bool:
    """Return whether the block, a script of its own or commands, is among those with this mark that are run."""
    return block.mark == mark and (block.language == "console" or (block.language == "python" and not block.file))


def pages_with(mark: str = "") -> list[Path]:
    """Return the pages that have blocks with this mark to be run."""
    return [page for page in pages() if any(is_run(block, mark) for block in blocks(page))]


def run_page(page: Path, folder: Path, mark: str = "") -> None:
    """Write the files of a page into a folder, and run its blocks with this mark there, all in their order."""
    examples = Examples(folder)
    for block in blocks(page):
        examples.write(block)
        if is_run(block, mark):
            examples.run(block)


class Examples:
    """Runs the blocks of a page, one after the other, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "page"
        self.home = folder / "home"
        programs = folder / "bin"
        for one in (self.folder, self.home, programs):
            one.mkdir()
        for name, arguments in PROGRAMS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{arguments} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = self._environment(programs)

    def _environment(self, programs: Path) -> dict[str, str]:
        """Return the environment of commands: as the tests have it, but with a home folder and commands of its own."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_NOT_A_READERS)}
        path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        pyenv = os.environ.get("PYENV_ROOT") or str(Path.home() / ".pyenv")  # else its Pythons go with the home folder
        own = {"PATH": path, "HOME": str(self.home), "PYENV_ROOT": pyenv}
        return {**kept, **own, "COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1"}

    def write(self, block: Block) -> None:
        """Write a block that is a file."""
        if block.file and not block.mark:
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.file).write_text(block.text, encoding="utf-8")

    def run(self, block: Block) -> None:
        """Run a block, and compare what it gives with what it shows."""
        if block.language == "python":
            (self.folder / "_example.py").write_text(block.text, encoding="utf-8")
            done = self._call("python _example.py")
            assert done.returncode == 0, f"{block.place}\n{done.stdout}"
            return
        for command in commands(block):
            done = self._call(re.sub(r"-[0-9a-f]{8}\.jsonl", "-*.jsonl", command.text))
            told = f"{block.page.relative_to(ROOT)}:{command.line}: $ {command.text}\n{done.stdout}"
            assert done.returncode == command.status, f"exit status {done.returncode}, not {command.status}: {told}"
            if command.shown:
                lack = missing(command.shown, self._plain(done.stdout).splitlines())
                assert lack is None, f"the page shows: {lack}\nand that is not what comes: {told}"

    def _call(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["timeout", "300", "bash", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )

    def _plain(self, output: str) -> str:
        return output.replace(f"{self.folder}/", "").replace(str(self.home), "~")
