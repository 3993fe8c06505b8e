"""The public names, with their signatures and docstrings, by Sphinx's autodoc."""

from __future__ import annotations

from collections.abc import Mapping

import bench
from docs.extension import markdown

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Declaring": ("program", "scenario", "actor"),
    "Expecting": ("deterministic", "racy", "acceptable", "interesting", "forbidden"),
    "Naming outcomes": ("raises", "hangs", "deadlocks", "crashes", "leaks"),
}
"""Each heading with its names."""


def section() -> str:
    """Return each public name under its heading.

    Raises:
        ValueError: if a public name is in no group, or a group has one that is not public.
    """
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(bench.__all__):
        raise ValueError(f"docs.extension.public.GROUPS and bench.__all__ differ: {set(grouped) ^ set(bench.__all__)}")
    return markdown.join(*(markdown.join(f"## {head}", *map(_entry, names)) for head, names in GROUPS.items()))


def _entry(name: str) -> str:
    return f"### {name}\n\n```{{eval-rst}}\n.. autofunction:: bench.{name}\n   :no-index-entry:\n```"
