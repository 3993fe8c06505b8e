"""Makes the picture of the front page from a real run: `python -m docs.pictures`.

It runs the README's first example as the README says and draws the terminal as an SVG. The picture has colours and a
background of its own, so that it is readable on a light page and on a dark one, and names no font to be loaded.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parent
RACE = FOLDER / "_static" / "race.svg"
COMMAND = ("bench", "explore", "count.py", "--method", "fork", "--strategy", "dfs")
COLUMNS = 88

_FIRST_EXAMPLE = re.compile(r"^```python\n(# count\.py\n.*?)^```$", re.DOTALL | re.MULTILINE)

_BLACK, _RED, _GREEN, _YELLOW = (24, 27, 34), (255, 110, 110), (105, 215, 130), (240, 200, 95)
_BLUE, _MAGENTA, _CYAN, _WHITE = (110, 170, 255), (215, 140, 235), (100, 210, 220), (222, 226, 232)
_COLOURS = [_BLACK, _RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN, _WHITE]
THEME = TerminalTheme(_BLACK, _WHITE, _COLOURS, _COLOURS)

SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{unique_id}-about">
<title id="{unique_id}-about">The output of a command, as the documents show it in text</title>
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""The form of a picture, with the fields that rich fills in."""


def example() -> str:
    """Return the first example of the README: the file `count.py`."""
    found = _FIRST_EXAMPLE.search((FOLDER.parent / "README.md").read_text(encoding="utf-8"))
    assert found is not None, "the README has no Python example that begins with `# count.py`"
    return found[1]


def coloured_output() -> str:
    """Run the command on the example, and return what it writes to a terminal."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        Path(folder, "count.py").write_text(example(), encoding="utf-8")
        command = [sys.executable, "-m", *COMMAND]
        path = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
        kept = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "XDG_CACHE_HOME")}
        own = {"COLUMNS": str(COLUMNS), "HOME": home, "PYTHONPATH": path, "TERM": "xterm-256color"}
        output = _on_terminal(command, folder, {**kept, **own})
        return output.replace(home, "~")


def _on_terminal(command: Sequence[str], folder: str, environment: dict[str, str]) -> str:
    """Run a command whose standard output is a terminal, and return what it writes there."""
    reading, writing = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    written = io.BytesIO()
    try:
        while part := os.read(reading, 4096):
            written.write(part)
    except OSError:  # how Linux says that the other end of a terminal is closed
        pass
    os.close(reading)
    process.wait()
    return written.getvalue().decode().replace("\r\n", "\n")


def draw(output: str) -> str:
    """Return the SVG of a terminal with this output, below the command."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), legacy_windows=False)
    console.print(Text.from_ansi(output.strip("\n")), soft_wrap=True)
    title = " ".join(COMMAND)
    drawn = console.export_svg(title=title, theme=THEME, code_format=SVG, unique_id="race")
    return "\n".join(line.strip() for line in drawn.splitlines() if line.strip()) + "\n"


if __name__ == "__main__":
    RACE.write_text(draw(coloured_output()), encoding="utf-8")
    print(f"made {RACE.relative_to(FOLDER.parent)}")
