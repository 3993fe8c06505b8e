"""Values as people write them: lists in one string, sizes with units."""

from __future__ import annotations

import re

from bench.errors import UsageError

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def entries(text: str) -> list[str]:
    """Return the entries of a list as the command line takes it: `"3.10,3.14"`."""
    return [one for one in re.split(r"[\s,]+", text) if one]


def parse_bytes(text: str) -> int:
    """Read a size such as `64m`, `2g`, `1.5GiB` or `1048576`; the units are powers of 1024.

    Raises:
        UsageError: if it is no size, or less than a byte.
    """
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmg]?)(?:i?b)?", text.strip().lower())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < 1:
        raise UsageError(f"size {text!r}: give for example 512m or 2g")
    return size
