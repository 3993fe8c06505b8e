"""What a failed installation said: the one line that explains it, and the last lines to read."""

from __future__ import annotations

import re

from bench.errors import Unavailable

LINES = 12
"""How many of the last lines are shown."""

HINT = "mend that, or give a command of your own as `install` in [tool.bench]"
"""What to do where a project does not build."""

_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_NOISE = re.compile(
    r"^(Step \d+/\d+|--->|Removing intermediate container|Successfully |#\d+ |note:|hint:|\[notice\]"
    r"|WARNING: Running pip|\[end of output\]|error: subprocess-exited-with-error|\W .* did not run successfully"
    r"|exit code: \d+$|╰─> |\W Encountered error while|error: metadata-generation-failed|\^+$|WARNING: You are using)"
)
_GENERIC = re.compile(
    r"error: (subprocess-exited-with-error|metadata-generation-failed|failed-wheel-build)"
    r"|ERROR: (Failed (building|to build)|Could not (build wheels|find a version))"
)
_EXPLAINS = re.compile(r"(ERROR|error|fatal error): |E: |\w*: error: |\S+:\d+(:\d+)?: (fatal )?error: ")
_RAISED = re.compile(r"[\w.]*(Error|Exception|Unavailable): ")


class NotInstalled(Unavailable):
    """Something could not be installed; `output` has the last lines of what was said about it."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


def tidy(output: str) -> list[str]:
    """Return the lines of an output without colours, frames, passwords and what is said of every build."""
    text = re.sub(r"://[^/@\s]+@", "://****@", _COLOURS.sub("", output))
    lines = (line.lstrip(" │|").rstrip() for line in text.splitlines())
    return [line for line in lines if line and not _NOISE.match(line)]


def last_lines(output: str) -> str:
    """Return the last lines of an output, to show to a person."""
    return "\n".join(tidy(output)[-LINES:])


def explanation(output: str) -> str:
    """Return the line that explains a failure; the empty text where none does."""
    lines = tidy(output)
    explains = [line for line in lines if _EXPLAINS.match(line)]
    specific = [line for line in explains if not _GENERIC.match(line)]
    raised = [line for line in lines if _RAISED.match(line)]
    for found in (specific[:1], raised[-1:], explains[:1]):
        if found:
            return found[0]
    return ""


NO_COMPILER = re.compile(
    r"command '[\w./+-]*(gcc|cc|g\+\+|clang)' failed: No such file|(gcc|cc|g\+\+|clang): (command )?not found"
    r"|No such file or directory: '[\w./+-]*(gcc|cc|g\+\+|clang)'|unable to execute '[\w./+-]*(gcc|cc|g\+\+)'"
    r"|Unknown compiler\(s\)|No CMAKE_C(XX)?_COMPILER|Python\.h: No such file|linker `cc` not found"
    r"|error: Microsoft Visual|failed to find tool \"(cc|c\+\+)\""
)
"""What a build says that finds no compiler, or no headers of Python."""
