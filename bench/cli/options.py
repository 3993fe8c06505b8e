"""Options that several subcommands share, and their types."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.sampling import MODES, Sampling, parse_modes

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., object])
    R = TypeVar("R")


class _Positive(click.ParamType[float]):
    """A time in seconds, more than 0 and finite."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(str(value))
        except ValueError:
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        if not 0 < number < math.inf:
            self.fail(f"{value!r}: give a time in seconds, more than 0", param, ctx)
        return number


SECONDS = _Positive()

targets_argument = click.argument("targets", nargs=-1, metavar="[TARGET]...")
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Where everything random comes from."
)
engine_option = click.option(
    "--engine", default=None, metavar="auto|docker|local", help="Where cells run; auto takes docker where it answers."
)
json_option = click.option(
    "--json", "json_to", metavar="FILE", help="Machine-readable output to a file, or with - to standard output alone."
)


methods_option = click.option(
    "--method", "methods", multiple=True, metavar="M", help="Start method; again for more. All by default."
)
modes_option = click.option(
    "--mode",
    "modes",
    multiple=True,
    metavar="L",
    help=f"How targets are observed, of {', '.join(MODES)}.  [default: all that a target has]",
)
mode_option = click.option(
    "--mode",
    type=click.Choice(MODES),
    default="repeat",
    show_default=True,
    help="repeat: fresh interpreters; stress: resident actors, explore: every interleaving, both for scenarios.",
)


def sampling_options(function: F) -> F:
    """Add the options that say how long a target is sampled."""
    for option in (
        click.option("--deadline", "deadline_s", type=SECONDS, metavar="S", help="How long one sample may take."),
        click.option(
            "--samples",
            type=click.IntRange(1),
            metavar="N",
            help="Samples of each target; of several modes, in repeat.",
        ),
        click.option("--seconds", type=SECONDS, metavar="S", help="How long to go on with each target, in each mode."),
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
    """Give the entries of options that take comma-separated lists and may be given again, in order, each once."""
    return list(dict.fromkeys(entry for one in lists for entry in one.replace(",", " ").split()))


class WithCommand(click.Command):
    """A command line whose words after `--` are a command of the user's: it comes as the parameter `command`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut the user's command off before click reads the options."""
        cut = args.index("--") if "--" in args else len(args)
        ctx.params["user_command"] = tuple(args[cut + 1 :])
        if cut < len(args) and not ctx.params["user_command"]:
            raise click.UsageError("no command after --; write for example: -- pytest tests", ctx)
        return super().parse_args(ctx, args[:cut])
