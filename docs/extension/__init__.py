"""A Sphinx extension: puts what is made from the code where a page has a comment that asks for it.

`<!-- generated: NAME -->` is replaced by one of `SECTIONS`, `<!-- code: MODULE NAME, NAME -->` by source of the module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from docs.extension import (
    commands,
    configuration,
    excerpts,
    exit_statuses,
    kernels,
    public,
    pytest_options,
    records,
)

SECTIONS: Mapping[str, Callable[[], str]] = {
    "commands": commands.section,
    "configuration": configuration.section,
    "exit statuses": exit_statuses.section,
    "pytest options": pytest_options.section,
    "public names": public.section,
    "cell records": records.cell_records,
    "run file": records.run_file,
    "schedule file": records.schedule_file,
    **kernels.SECTIONS,
}
"""Each name with the function that returns its Markdown."""

_MARK = re.compile(r"^<!-- generated: (?P<name>.+?) -->$", re.MULTILINE)


class Application(Protocol):
    """The part of Sphinx's application that the extension uses."""

    def connect(self, event: str, callback: Callable[..., None]) -> object:
        """Call `callback` at every `event`."""


def fill(text: str) -> str:
    """Return a page's text with each mark replaced by its section.

    Raises:
        KeyError: if a mark names no section, or a name that its module does not define.
    """
    return _MARK.sub(lambda mark: SECTIONS[mark["name"]](), excerpts.filled(text))


def _on_source_read(_app: object, _page: str, source: list[str]) -> None:
    source[0] = fill(source[0])


def setup(app: Application) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("source-read", _on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
