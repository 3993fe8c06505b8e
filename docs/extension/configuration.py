"""The keys of `[tool.bench]`, read from their schema."""

from __future__ import annotations

from typing import Any

from bench.matrix.config import resolved, schema
from docs.extension import markdown


def section() -> str:
    """Return a table of the keys, and one for each table below `[tool.bench]`."""
    whole = schema()
    tables = [(name, resolved(one, whole)) for name, one in whole["properties"].items()]
    inner = [(name, entry) for name, one in tables if (entry := _entry(one, whole)) is not None]
    return markdown.join(_table(whole, whole), *(_part(name, entry, whole) for name, entry in inner))


def _entry(key: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of the entries of a key that is a list of tables; `None` for any other key."""
    entry = resolved(key.get("items", {}), whole)
    return entry if "properties" in entry else None


def _part(name: str, entry: dict[str, Any], whole: dict[str, Any]) -> str:
    return markdown.join(f"## `[[tool.bench.{name}]]`", entry.get("description", ""), _table(entry, whole))


def _table(part: dict[str, Any], whole: dict[str, Any]) -> str:
    rows = [
        [markdown.code(name), str(key["title"]), str(key["description"])]
        for name, one in part["properties"].items()
        if (key := resolved(one, whole))
    ]
    return markdown.table(["Key", "Value", "Meaning"], rows)
