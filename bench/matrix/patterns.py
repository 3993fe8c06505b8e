"""Patterns of cells' names: globs, several separated by spaces, `{a,b}` for alternatives. Pure."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from bench.errors import UsageError

_MOST_ALTERNATIVES = 1000


def matching(patterns: str, name: str) -> str | None:
    """Return the first of the patterns that matches a name; `None` if none does."""
    return next((text for text in patterns.split() if any(fnmatchcase(name, one) for one in expanded(text))), None)


@functools.cache
def expanded(pattern: str) -> tuple[str, ...]:
    """Return the globs of a pattern, its `{a,b}` replaced by their alternatives; braces may hold braces.

    Raises:
        UsageError: if its braces are not balanced, or it stands for too many.
    """
    if pattern.count("{") != pattern.count("}"):
        raise UsageError(f"unbalanced braces in {pattern!r}; write for example py3{{13,14}}-*")
    found = tuple(itertools.islice(_alternatives(pattern), _MOST_ALTERNATIVES + 1))
    if len(found) > _MOST_ALTERNATIVES:
        raise UsageError(f"{pattern!r} stands for more than {_MOST_ALTERNATIVES} patterns; use * where you can")
    return found


def _alternatives(pattern: str) -> Iterator[str]:
    innermost = re.search(r"\{([^{}]*)\}", pattern)
    if innermost is None:
        if "{" in pattern or "}" in pattern:
            raise UsageError(f"unbalanced braces in {pattern!r}; write for example py3{{13,14}}-*")
        yield pattern
        return
    for choice in innermost[1].split(","):
        yield from _alternatives(pattern[: innermost.start()] + choice + pattern[innermost.end() :])
