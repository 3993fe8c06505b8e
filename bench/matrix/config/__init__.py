"""The project's own settings: `[tool.bench]` of the nearest pyproject.toml. The command line overrides them.

A new key is a property in `bench/schema/config-v1.json` (its type, what a message asks for, what it means), a field of
`Config` and, where TOML's value is not the field's, a reader in `settings.READERS`. `checking` reports mistakes.
"""

from bench.matrix.config.checking import resolved, schema, tool_schema
from bench.matrix.config.settings import ENGINES, Config, find_config, load_config, parse_config
from bench.matrix.config.values import parse_bytes

__all__ = [
    "ENGINES",
    "Config",
    "find_config",
    "load_config",
    "parse_bytes",
    "parse_config",
    "resolved",
    "schema",
    "tool_schema",
]
