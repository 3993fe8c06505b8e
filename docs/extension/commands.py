"""The commands and their options, read from click."""

from __future__ import annotations

import inspect
import re

import click

from bench.cli import COMMANDS, cli
from docs.extension import markdown

_OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z-]*")


def section(prefix: str = "bench") -> str:
    """Return a heading, the usage, the help and a table of options for each command."""
    context = click.Context(cli, info_name=prefix, **cli.context_settings)
    return markdown.join(*(_command(name, context) for name in COMMANDS))


def _command(name: str, parent: click.Context) -> str:
    command = cli.get_command(parent, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    return markdown.join(
        f"## {context.command_path}",
        f"```text\n{usage}\n```",
        _help(command),
        markdown.table(["Option", "Meaning"], _options(command, context)),
    )


def _help(command: click.Command) -> str:
    """Return the help; a paragraph that its author marked against rewrapping stays as it is."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return markdown.join(*(_paragraph(one) for one in paragraphs))


def _paragraph(text: str) -> str:
    if not text.startswith("\b"):
        return _marked(" ".join(text.split()))
    head, _, rest = text.lstrip("\b\n").partition("\n")
    return f"{head}\n\n```text\n{inspect.cleandoc(rest)}\n```"


def _options(command: click.Command, context: click.Context) -> list[list[str]]:
    options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    records = [one.get_help_record(context) for one in options]
    return [[markdown.code(names), _marked(meaning)] for names, meaning in filter(None, records)]


def _marked(text: str) -> str:
    """Return the text with each option in it marked as code."""
    return _OPTION.sub(lambda found: markdown.code(found[0]), text)
