"""The formats of records, read from the JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from docs.extension import markdown

Schema = Mapping[str, Any]


def cell_records() -> str:
    """Return the lines of a cell's file, and the objects in them."""
    return _whole("record-v1.json")


def run_file() -> str:
    """Return the fields of `run.json`."""
    return _whole("run-v1.json")


def schedule_file() -> str:
    """Return the lines of a schedule file."""
    return _whole("schedule-v1.json")


def _whole(name: str) -> str:
    schema = json.loads(files("bench.schema").joinpath(name).read_text(encoding="utf-8"))
    parts = [(key, one) for key, one in schema.get("$defs", {}).items() if "properties" in one]
    own = [_table(schema)] if "properties" in schema else []
    return markdown.join(schema.get("description", ""), *own, *(_part(key, one) for key, one in parts))


def _part(key: str, schema: Schema) -> str:
    return markdown.join(f"### `{schema.get('title', key)}`", schema.get("description", ""), _table(schema))


def _table(schema: Schema) -> str:
    return markdown.table(["Field", "Type", "Meaning"], _rows(schema, ""))


def _rows(schema: Schema, prefix: str) -> Iterator[list[str]]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        meaning = field.get("description", "").rstrip(".")
        texts = [meaning, *([] if name in required else ["Optional"])]
        yield [markdown.code(prefix + name), _type(field), " ".join(f"{text}." for text in texts if text)]
        if "properties" in field:
            yield from _rows(field, f"{prefix}{name}.")


def _type(field: Schema) -> str:
    if "$ref" in field:
        return markdown.code(field["$ref"].rpartition("/")[2])
    if "const" in field:
        return markdown.code(json.dumps(field["const"]))
    if "enum" in field:
        return ", ".join(markdown.code(json.dumps(one)) for one in field["enum"])
    if "oneOf" in field or "anyOf" in field:
        return " or ".join(map(_type, field.get("oneOf") or field["anyOf"]))
    return _named(field)


def _named(field: Schema) -> str:
    kinds = field.get("type", "any")
    named = kinds if isinstance(kinds, str) else " or ".join(kinds)
    return f"{named} of {_type(field['items'])}" if "items" in field else named
