"""Runs some tests of a suite alone, by a list of their ids; the others are deselected once they are collected."""

from __future__ import annotations

import pytest

from bench.testids import is_of


def keep_only(config: pytest.Config, items: list[pytest.Item], ids: frozenset[str]) -> None:
    """Deselect the items that the list does not name; programs are named by their target too."""
    kept = [item for item in items if is_of(item.nodeid, ids) or _target(item) in ids]
    if len(kept) < len(items):
        chosen = set(kept)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = kept


def _target(item: pytest.Item) -> str | None:
    found = getattr(item, "found", None)
    program = getattr(found, "program", None)
    return getattr(program, "target", None)
