"""Values as records hold them: as JSON where JSON can hold them, else as a text, marked so.

The text is a Python literal where there is one, or the `repr`. Where that need not show all there is to a value, a
digest of its content stands beside it: two values of one `repr` are one outcome only if that is the same.
"""

from __future__ import annotations

import math
import sys

TYPE_CHECKING = False  # as type checkers know it: each process of a sample imports this module, and little besides

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MARK = "repr"
"""The key of an object that stands for a value JSON cannot hold."""

DIGEST = "digest"
"""The other key of such an object, where its text need not show all: a digest of the content; `None` if unknown."""

_DEEPEST = 50
"""Levels of lists, dictionaries and the like, above which a value is recorded as one text."""

_MOST_BITS = 2_000
"""Of integers as such: Python refuses to read or write more than 4,300 digits, or 640 where the limit is lowest."""

_LEAST_RECURSION = 1_000
"""The recursion limit while the `repr` of a deep value is asked for: a higher one could overflow the C stack."""

_SHOWN_IN_FULL = frozenset(
    {
        "datetime.date",
        "datetime.datetime",
        "datetime.time",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "fractions.Fraction",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "pathlib._local.PosixPath",
        "pathlib._local.PurePosixPath",
        "uuid.UUID",
    }
)
"""Classes whose `repr` shows all there is."""


class CannotTell(Exception):
    """Whether two values are equal is not known: their `repr` is the same, their content need not be."""


class Opaque:
    """A value of which only a text is known; `digest` is `None` where that shows all, and empty if it is not known."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str, digest: str | None = None) -> None:
        self.text, self.digest = text, digest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Opaque):
            return False
        if self.digest is None and other.digest is None:
            return self.text == other.text
        return self.digest == other.digest != ""

    def __hash__(self) -> int:
        return hash(self.digest or self.text)

    def __repr__(self) -> str:
        return self.text


class _TooDeep(Exception):
    """A value has more levels than are recorded as such, perhaps without end."""


# From values to records.


def encode(value: object) -> Json:
    """Return the recorded form of `value`; one that JSON would change or refuse becomes `{"repr": ...}`.

    It never raises, whatever the value: one that has no text of its own is described.
    """
    if isinstance(value, Opaque):
        return {MARK: value.text} if value.digest is None else {MARK: value.text, DIGEST: value.digest or None}
    try:
        return _encode(value, _DEEPEST)
    except _TooDeep:
        return _opaque(value)


def _encode(value: object, levels: int) -> Json:
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value  # type: ignore[return-value]  # the exact types above are all JSON's own
    if kind is int and value.bit_length() <= _MOST_BITS:  # type: ignore[attr-defined]  # an int
        return value  # type: ignore[return-value]  # an int
    if kind is float and math.isfinite(value):  # type: ignore[arg-type]  # a float
        return value  # type: ignore[return-value]  # a float
    if kind is list or (kind is dict and _is_object(value)):  # type: ignore[arg-type]  # a dict
        if not levels:
            raise _TooDeep
        if kind is list:
            return [_encode(item, levels - 1) for item in value]  # type: ignore[attr-defined]  # a list
        return {key: _encode(item, levels - 1) for key, item in value.items()}  # type: ignore[attr-defined]  # a dict
    text = _text(value, levels)
    return _opaque(value) if text is None else {MARK: text}


def _is_object(value: dict[Any, Any]) -> bool:
    if not all(type(key) is str for key in value):
        return False
    return not (MARK in value and value.keys() <= {MARK, DIGEST})


def _text(value: Any, levels: int) -> str | None:
    """Return a text that shows all of a value, the same for equal values; `None` if there may be more to it."""
    kind = type(value)
    if kind is int:
        return repr(value) if value.bit_length() <= _MOST_BITS else hex(value)
    if value is None or value is ... or kind in (bool, float, complex, str, bytes, bytearray, range):
        return repr(value)
    if kind in (list, tuple, dict, set, frozenset):
        if not levels:
            raise _TooDeep
        return _text_of_items(value, kind, levels - 1)
    return repr(value) if f"{kind.__module__}.{kind.__qualname__}" in _SHOWN_IN_FULL else None


def _text_of_items(value: Any, kind: type, levels: int) -> str | None:
    items: list[str] = []
    for item in value.items() if kind is dict else value:
        text = _pair(item, levels) if kind is dict else _text(item, levels)
        if text is None:
            return None
        items.append(text)
    if kind in (dict, set, frozenset):  # neither hashes nor what was added first makes another value
        keys = list(value)
        sortable = bool(keys) and type(keys[0]) in (int, str) and len(set(map(type, keys))) == 1
        items = [item for _, item in sorted(zip(keys, items))] if sortable else sorted(items)  # noqa: B905  # Python 3.10 has strict; equal
    inner = ", ".join(items)
    if kind is list:
        return f"[{inner}]"
    if kind is tuple:
        return f"({inner},)" if len(items) == 1 else f"({inner})"
    if kind is frozenset:
        return f"frozenset({{{inner}}})" if items else "frozenset()"
    return f"{{{inner}}}" if items or kind is dict else "set()"


def _pair(pair: tuple[object, object], levels: int) -> str | None:
    key, item = (_text(one, levels) for one in pair)
    return None if key is None or item is None else f"{key}: {item}"


def _opaque(value: object) -> Json:
    text = _repr(value)
    if text[:1] in "-0123456789'\"([{bTFN" and _is_literal_of(text, value):
        return {MARK: text}
    digest = _fingerprint(value)
    return {MARK: text if digest is None else _without_addresses(text), DIGEST: digest}


def _without_addresses(text: str) -> str:
    import re

    return re.sub(r" at 0x[0-9a-fA-F]+", " at 0x…", text)


def _is_literal_of(text: str, value: object) -> bool:
    """Return whether a text is a literal of the value, as with the numbers of numpy and subclasses of `tuple`."""
    try:
        return bool(_from_text(text) == value)
    except Exception:  # noqa: BLE001  # the user's `__eq__` may raise anything
        return False


def _repr(value: object) -> str:
    name, limit = type(value).__name__, sys.getrecursionlimit()
    try:
        if limit > _LEAST_RECURSION:
            sys.setrecursionlimit(_LEAST_RECURSION)
        return repr(value)
    except RecursionError:
        return f"<{name}, nested too deeply to be shown>"
    except Exception as error:  # noqa: BLE001  # the user's `__repr__` may raise anything
        return f"<{name}, whose repr raised {type(error).__name__}>"
    finally:
        sys.setrecursionlimit(limit)


def _fingerprint(value: object) -> str | None:
    from bench.fingerprints import fingerprint

    return fingerprint(value)


def identity(value: object) -> object:
    """Return something that can be hashed, and is the same only for values that are recorded the same."""
    kind = type(value)
    if value is None or kind in (int, str, bool, bytes):
        return kind, value
    try:
        if kind in (list, tuple) and _ITEMS.issuperset(map(type, value)):  # type: ignore[call-overload]  # a sequence
            return kind, repr(value)
        import pickle

        return kind, pickle.dumps(value, 4)  # much faster than to record it
    except Exception:  # noqa: BLE001  # it cannot be sent, is too deep, or has an integer of too many digits
        return kind, repr(encode(value))


_ITEMS = frozenset({bool, int, float, str, bytes, type(None)})


# From records to values.


def decode(recorded: Json) -> object:
    """Return the value of a recorded form, or an `Opaque` where its text is no Python literal."""
    if isinstance(recorded, list):
        return [decode(item) for item in recorded]
    if isinstance(recorded, dict):
        if _is_marked(recorded):
            text = str(recorded[MARK])
            return Opaque(text, str(recorded[DIGEST] or "")) if DIGEST in recorded else _from_text(text)
        return {key: decode(item) for key, item in recorded.items()}
    return recorded


def _from_text(text: str) -> object:
    if text in ("nan", "inf", "-inf"):
        return float(text)
    import ast

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return Opaque(text)


def same(recorded: Json, wanted: object) -> bool:
    """Return whether a recorded value is `wanted`: by equality if it can be decoded, else by text and digest.

    Raises:
        CannotTell: if the texts are the same, and the digests are not, or are not known.
    """
    expected, value = encode(wanted), decode(recorded)
    if value == decode(expected):
        return True
    if not _has_digest(recorded):
        # The canonical text for what is never equal to itself, and Python's `==` for the user's own kinds of numbers.
        return canonical(recorded) == canonical(expected) or (not isinstance(value, Opaque) and bool(value == wanted))
    if decode(_without_digests(recorded)) == decode(_without_digests(expected)):
        raise CannotTell(
            f"{decode(recorded)!r:.200} cannot be told apart from what is expected: the repr is the same, the content "
            "differs, or is not known; give it a repr that shows all, or return what is to be compared"
        )
    return False


def _is_marked(recorded: Mapping[str, Json]) -> bool:
    return isinstance(recorded.get(MARK), str) and recorded.keys() <= {MARK, DIGEST}


def _has_digest(recorded: Json) -> bool:
    if isinstance(recorded, list):
        return any(map(_has_digest, recorded))
    if isinstance(recorded, dict):
        return DIGEST in recorded if _is_marked(recorded) else any(map(_has_digest, recorded.values()))
    return False


def _without_digests(recorded: Json) -> Json:
    if isinstance(recorded, list):
        return [_without_digests(item) for item in recorded]
    if isinstance(recorded, dict):
        if _is_marked(recorded):
            return {MARK: recorded[MARK]}
        return {key: _without_digests(item) for key, item in recorded.items()}
    return recorded


def canonical(recorded: Json | Mapping[str, Json]) -> str:
    """Return a text that is the same for equal recorded values: the key of histograms."""
    import json

    return json.dumps(recorded, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
