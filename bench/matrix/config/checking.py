"""The check of `[tool.bench]` against its schema, and the one line that a mistake is reported in.

`bench/schema/config-v1.json` is the only description of the keys: editors read it, `jsonschema` checks by it, and the
reference in the documents is made from it. What a pattern cannot say, such as which Pythons there are, is a format.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from bench.cells import parse_cpus, parse_method, parse_python, parse_quota, parse_seen
from bench.errors import UsageError
from bench.matrix.config.values import entries, parse_bytes
from bench.sampling import parse_modes

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Schema: TypeAlias = Mapping[str, Any]


def tool_schema(_tool: str) -> dict[str, Any]:
    """Return the schema for validate-pyproject, which finds this function by its entry point.

    Its validator knows neither formats of ours nor references from within a larger schema: these are replaced.
    """
    found: dict[str, Any] = _whole(schema(), schema())
    del found["definitions"]
    return found


def _whole(part: Any, schema: Schema) -> Any:
    if isinstance(part, list):
        return [_whole(one, schema) for one in part]
    if not isinstance(part, dict):
        return part
    ours = {"$ref", *(["format"] if str(part.get("format")).startswith("bench-") else [])}
    return {name: _whole(one, schema) for name, one in resolved(part, schema).items() if name not in ours}


@functools.cache
def schema() -> dict[str, Any]:
    """Return the schema of `[tool.bench]`."""
    found = json.loads(files("bench.schema").joinpath("config-v1.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def resolved(part: Schema, whole: Schema) -> dict[str, Any]:
    """Return a part of the schema with what it refers to in place; its own words go before those."""
    name = str(part.get("$ref", "")).rpartition("/")[2]
    return {**(whole["definitions"][name] if name else {}), **part}


def check(table: object, path: Path) -> dict[str, Any]:
    """Return `[tool.bench]` of the file `path` as JSON has it, once it is known to be right.

    Raises:
        UsageError: if it holds an unknown key or a wrong value; the message names the file and the key.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{path}: tool.bench is {_shown(table)}; make it a table, [tool.bench]")
    plain: dict[str, Any] = _plain(table)
    if plain and (trouble := _first(_validator().iter_errors(plain))) is not None:
        raise UsageError(f"{path}: {_Mistake(trouble, plain).text}")
    return plain


def _plain(item: Any) -> Any:
    """Return TOML's values as those of JSON: a date is its text."""
    if isinstance(item, Mapping):
        return {str(name): _plain(one) for name, one in item.items()}
    if isinstance(item, list):
        return [_plain(one) for one in item]
    return item.isoformat() if isinstance(item, date) else item


def _first(errors: Any) -> ValidationError | None:
    """Return the mistake to report: an unknown key first, since a misspelled key also counts as one that lacks."""
    found = sorted(errors, key=lambda one: (one.validator != "additionalProperties", str(list(one.absolute_path))))
    return found[0] if found else None


@functools.cache
def _validator() -> Validator:
    import jsonschema  # takes a tenth of a second, which a project without settings and `bench --help` need not wait

    checker = jsonschema.FormatChecker(())
    for name, read in _FORMATS.items():
        checker.checks(name, raises=(UsageError, ValueError))(functools.partial(_accepts, read))
    # TOML has `nan` and `inf`, which no number of a setting can be.
    types = jsonschema.Draft7Validator.TYPE_CHECKER.redefine("number", lambda _, item: _is_finite(item))
    kind = jsonschema.validators.extend(jsonschema.Draft7Validator, type_checker=types)  # type: ignore[no-untyped-call]  # its stubs leave it out
    return cast("Validator", kind(schema(), format_checker=checker))


def _is_finite(item: object) -> bool:
    return isinstance(item, (int, float)) and not isinstance(item, bool) and math.isfinite(item)


def _accepts(read: Callable[[str], object], item: object) -> bool:
    if isinstance(item, str):
        read(item)  # raises where it does not
    return True


def _each(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Return a reader of a list as the command line takes it: `"3.10,3.14"`."""
    return lambda text: [parse(one) for one in entries(text)]


def parse_size(text: str) -> float:
    """Read a number of CPUs or a quota.

    Raises:
        UsageError: if it is neither.
    """
    return parse_quota(text) if text.startswith("quota") else parse_cpus(text)


_FORMATS: Mapping[str, Callable[[str], object]] = {
    "bench-python": parse_python,
    "bench-pythons": _each(parse_python),
    "bench-methods": _each(parse_method),
    "bench-sizes": _each(parse_size),
    "bench-seen": _each(parse_seen),
    "bench-modes": lambda text: parse_modes([text]),
    "bench-bytes": parse_bytes,
    "date": date.fromisoformat,
}
"""The formats of the schema, each with the function that raises for what is not of it."""


class _Mistake:
    """A mistake in words: where it is, what stands there, what to give, or the key that was probably meant."""

    def __init__(self, error: ValidationError, table: Mapping[str, Any]) -> None:
        self._error = error
        self._whole = schema()
        self._walk(list(error.absolute_path), table)

    def _walk(self, path: Sequence[str | int], table: Any) -> None:
        """Follow the path to the innermost key that has a name, and to the table that holds it."""
        self._table_name, self._key, self._wanted, self._item = "[tool.bench]", "", self._whole, table
        name = "tool.bench"
        for step in path:
            wanted = self._wanted
            if isinstance(step, int) and "properties" in (entry := resolved(wanted.get("items", {}), self._whole)):
                self._table_name = f"[[{name}]], entry {step + 1}"
                self._key, self._wanted, self._item = "", entry, self._item[step]
            elif isinstance(step, str) and (inner := wanted.get("properties", {}).get(step)) is not None:
                if self._key:
                    self._table_name = f"[{name}]"
                name = f"{name}.{step}"
                self._key, self._wanted, self._item = step, resolved(inner, self._whole), self._item[step]
            else:
                return

    @property
    def text(self) -> str:
        """What is wrong and what to do, in one line."""
        error, where = self._error, self._table_name
        if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
            known = list(self._wanted.get("properties", ()))
            unknown = next(name for name in error.instance if name not in known)
            near = difflib.get_close_matches(unknown, known, 1)
            return f"unknown key {unknown!r} in {where}; " + (
                f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            )
        if error.validator in ("required", "dependencies"):
            return f"{where} lacks a key: {error.message}"
        wanted = self._wanted.get("title") or error.message
        return f"{self._key} in {where} is {_shown(self._item)}; give {wanted}"


def _shown(item: object) -> str:
    text = str(item).lower() if isinstance(item, bool) else repr(item)
    return text if len(text) <= 60 else f"{text[:57]}..."
