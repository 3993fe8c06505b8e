"""The keys of `[tool.bench]`, read from what reads them."""

from __future__ import annotations

from bench.matrix.config import KEYS
from docs.extension import markdown


def section() -> str:
    """Return a table of the keys."""
    rows = [[markdown.code(name), key.accepts, key.meaning] for name, key in KEYS.items()]
    return markdown.table(["Key", "Value", "Meaning"], rows)
