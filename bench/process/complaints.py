"""What a resource tracker complains of, when it ends, also goes to a file: nobody else reads its standard error."""

from __future__ import annotations

import contextlib
import os
import warnings

TYPE_CHECKING = False  # as type checkers know it: each resource tracker of a cell imports this

if TYPE_CHECKING:
    from typing import TextIO


def install(path: str) -> None:
    """Have this process append each warning that it shows to `path`, a line each."""
    shown = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, f"{' '.join(str(message).split())}\n".encode("utf-8", "backslashreplace"))
            finally:
                os.close(descriptor)
        shown(message, category, filename, lineno, file, line)

    warnings.showwarning = show
