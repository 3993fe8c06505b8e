"""A check that is set aside has its reason beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BARE = re.compile(r"#\s*(type: ignore(\[[\w\-, ]*\])?|noqa(: [A-Z0-9, ]+)?|pragma: no cover)\s*$", re.MULTILINE)
FILES = sorted(file for folder in ("bench", "tests") for file in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_waiver_has_a_reason(file: Path) -> None:
    assert [found[0] for found in BARE.finditer(file.read_text(encoding="utf-8"))] == []
