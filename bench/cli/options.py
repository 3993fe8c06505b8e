"""Options that several subcommands share, and their types."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.cells import DEFAULT_PYTHONS
from bench.sampling import MODES, Sampling, parse_modes

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., object])
    R = TypeVar("R")


class _Whole(click.IntRange):
    """A whole number; click's own message about a wrong one speaks of an integer range."""

    name = "whole number"


class _Positive(click.ParamType[float]):
    """A time in seconds, more than 0 and finite."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(str(value))
        except ValueError:
            self.fail(f"{value!r} is no number of seconds; write for example 2.5", param, ctx)
        if not 0 < number < math.inf:
            self.fail(f"{value!r}: give a time in seconds, more than 0", param, ctx)
        return number


SECONDS = _Positive()
FROM_0 = _Whole(0)
FROM_1 = _Whole(1)

TARGET = """\b
TARGET is file.py, file.py::Name, package.module or package.module:Name;
with none given, the demos.
"""
"""The end of the help of commands that take targets."""

targets_argument = click.argument("targets", nargs=-1, metavar="[TARGET]...")
seed_option = click.option(
    "--seed", type=FROM_0, default=0, show_default=True, metavar="N", help="The seed of everything random."
)
json_option = click.option(
    "--json", "json_to", metavar="FILE", help="Write JSON to FILE; - writes it, and nothing else, to standard output."
)
pythons_option = click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="L",
    help=f"Pythons, such as 3.10,3.14,pypy3.11.  [default: {DEFAULT_PYTHONS[0]} to {DEFAULT_PYTHONS[-1]}]",
)
methods_option = click.option(
    "--method", "methods", multiple=True, metavar="L", help="Start methods, such as fork,spawn.  [default: all]"
)
modes_option = click.option(
    "--mode",
    "modes",
    multiple=True,
    metavar="L",
    help=f"Modes to observe targets in, of {','.join(MODES)}.  [default: all that a target has]",
)
mode_option = click.option(
    "--mode",
    type=click.Choice(MODES),
    default="repeat",
    show_default=True,
    help="repeat: in fresh interpreters; stress: resident actors, over and over; explore: every interleaving. "
    "Stress takes scenarios only.",
)


def sampling_options(function: F) -> F:
    """Add the options for how long each target is sampled."""
    for option in (
        click.option(
            "--deadline", "deadline_s", type=SECONDS, metavar="S", help="Seconds after which a sample counts as a hang."
        ),
        click.option(
            "--samples",
            type=FROM_1,
            metavar="N",
            help="Samples of each target; with several modes, those of repeat.",
        ),
        click.option("--seconds", type=SECONDS, metavar="S", help="Seconds to observe each target, in each mode."),
    ):
        function = option(function)
    return function


def test_options(function: F) -> F:
    """Add the options for the tests of a command."""
    for option in (
        click.option("--strict-leaks", is_flag=True, help="Fail tests of COMMAND that leave something behind."),
        click.option(
            "--test-timeout",
            "test_timeout_s",
            type=SECONDS,
            metavar="S",
            help="Seconds that one test of COMMAND may take.  [default: a fifth of --timeout]",
        ),
    ):
        function = option(function)
    return function


def as_sampling(function: Callable[..., R]) -> Callable[..., R]:
    """Hand the options for modes, samples, times and seed on as one `sampling`, as far as a command has them."""

    @functools.wraps(function)
    def command(**given: Any) -> R:
        modes = parse_modes([*given.pop("modes", ()), given.pop("mode", "")], "--mode")
        bounds = {name: given.pop(name, None) for name in ("samples", "seconds", "deadline_s")}
        return function(sampling=Sampling(modes, **bounds, seed=given.pop("seed")), **given)

    return command


def split(lists: tuple[str, ...]) -> list[str]:
    """Return the entries of options that take comma-separated lists and may be repeated, in order, each once."""
    return list(dict.fromkeys(entry for one in lists for entry in one.replace(",", " ").split()))


class WithCommand(click.Command):
    """A command line whose words after `--` are a command of the user's: they become the parameter `user_command`."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line, the user's command among them."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut the user's command off before click reads the options."""
        cut = args.index("--") if "--" in args else len(args)
        ctx.params["user_command"] = tuple(args[cut + 1 :])
        if cut < len(args) and not ctx.params["user_command"]:
            raise click.UsageError("no command after --; write for example: -- pytest tests", ctx)
        return super().parse_args(ctx, args[:cut])
