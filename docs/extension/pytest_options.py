"""The options of the pytest plugin, read from its own registration."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bench.pytest_plugin import settings
from docs.extension import markdown


class Registered:
    """A parser and its group in one: keeps what is registered."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []

    def getgroup(self, _name: str, _description: str = "") -> Registered:
        """Return the one group there is."""
        return self

    def addoption(self, name: str, **attributes: Any) -> None:
        """Keep an option."""
        self.options.append((name, attributes))


def registered() -> list[tuple[str, dict[str, Any]]]:
    """Return each option that the plugin registers, with what argparse is told of it."""
    parser = Registered()
    settings.add_options(cast(pytest.Parser, parser))
    return parser.options


def section() -> str:
    """Return a table of the options."""
    rows = [[_shown(name, attributes), str(attributes["help"])] for name, attributes in registered()]
    return markdown.table(["Option", "Meaning"], rows)


def _shown(name: str, attributes: dict[str, Any]) -> str:
    return markdown.code(f"{name} {attributes['metavar']}" if "metavar" in attributes else name)
