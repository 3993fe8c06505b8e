"""Lists of tests to run, as one word of a command line: cells are told by it which tests of a suite are to run again.

The list is compressed, since an argument of a program holds at most 128 KiB: so that is some ten thousand tests.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection, Iterable

from bench.errors import UsageError

MOST = 120_000
"""The most characters of a packed list; the kernel takes 131,072 for one argument, and for one variable."""


def pack(ids: Iterable[str]) -> str | None:
    """Return a list of test ids as one word, in which no shell sees anything; `None` if it would be too long."""
    data = "\n".join(ids).encode("utf-8", "surrogateescape")
    word = base64.urlsafe_b64encode(zlib.compress(data, 9)).decode()
    return word if len(word) <= MOST else None


def unpack(word: str) -> tuple[str, ...]:
    """Return the list that `pack` made a word of.

    Raises:
        UsageError: if the word is none of those.
    """
    try:
        data = zlib.decompress(base64.urlsafe_b64decode(word))
    except (ValueError, zlib.error):
        raise UsageError("this is no list of tests; bench matrix --rerun-failed makes them") from None
    return tuple(data.decode("utf-8", "surrogateescape").split("\n")) if data else ()


def is_of(test: str, ids: Collection[str]) -> bool:
    """Return whether a test is one of those, or of a file or class among them (a file that could not be collected)."""
    parts = test.split("::")
    return any("::".join(parts[:count]) in ids for count in range(len(parts), 0, -1))
