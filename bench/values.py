"""Values as records hold them: as JSON where JSON can hold them, else as their `repr`, marked so."""

from __future__ import annotations

import math

TYPE_CHECKING = False  # as type checkers know it: each process of a sample imports this module, and little besides

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MARK = "repr"
"""The only key of an object that stands for a value JSON cannot hold."""


class Opaque:
    """A value of which only the `repr` is known."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


def encode(value: object) -> Json:
    """Return the recorded form of `value`; a value that JSON would change or refuse becomes `{"repr": ...}`."""
    if isinstance(value, Opaque):
        return {MARK: value.text}
    if value is None or type(value) in (bool, int, str):
        return value  # type: ignore[return-value]  # the exact types above are all JSON's own
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is list:
        return [encode(item) for item in value]
    if type(value) is dict and all(type(key) is str for key in value) and set(value) != {MARK}:
        return {key: encode(item) for key, item in value.items()}
    return {MARK: repr(value)}


def decode(recorded: Json) -> object:
    """Return the value of a recorded form, or an `Opaque` where its `repr` is no Python literal."""
    if isinstance(recorded, list):
        return [decode(item) for item in recorded]
    if isinstance(recorded, dict):
        if set(recorded) == {MARK} and isinstance(text := recorded[MARK], str):
            return _from_repr(text)
        return {key: decode(item) for key, item in recorded.items()}
    return recorded


def _from_repr(text: str) -> object:
    if text in ("nan", "inf", "-inf"):
        return float(text)
    import ast

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return Opaque(text)


def same(recorded: Json, wanted: object) -> bool:
    """Return whether a recorded value is `wanted`: by equality if it can be decoded, else by `repr`."""
    value = decode(recorded)
    if isinstance(value, Opaque):
        return value.text == repr(wanted)
    return canonical(recorded) == canonical(encode(wanted)) or bool(value == wanted)


def canonical(recorded: Json | Mapping[str, Json]) -> str:
    """Return a text that is the same for equal recorded values: the key of histograms."""
    import json

    return json.dumps(recorded, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
