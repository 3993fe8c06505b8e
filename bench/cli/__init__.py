"""The command `bench`: the subcommand NAME is the module `NAME_command`, imported only when it is called.

`main` turns errors meant for a person into one or two lines on standard error and the exit status of their class.

    inputs, options, projects     what commands take: targets, options, the user's project
    engines, running              where cells run, and running a plan with its display
    starting, again, earlier      carrying out a plan to its report; runs that go on with an earlier one; its times
    output, live                  what commands print: lines, JSON, a histogram that grows
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click

import bench
from bench.called import called_as, command_name
from bench.errors import BenchError, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = {
    "list": "List programs and scenarios, with one line each.",
    "run": "Run programs on this host, under each start method.",
    "explore": "Run processes one at a time, in every order of their steps.",
    "replay": "Run one recorded interleaving again: does it still happen?",
    "matrix": "Run programs, or a command, in every Python x start method x CPUs.",
    "cell": "Run one cell of the matrix by its name.",
    "report": "Report a run, or the shards of one, from its records.",
    "images": "Show or build the images that cells run in.",
    "doctor": "Check what this host has and lacks.",
    "clean": "Remove what dead runs left behind.",
}
"""Each subcommand with its line in the help, so that the help imports none of them."""

BROKEN_PIPE = 141
"""Exit status after the reader of the output is gone: that of a process killed by SIGPIPE."""

EPILOG = """\b
TARGET is file.py, file.py::Name, package.module or package.module:Name;
with none given, the demos.

\b
Exit status:
    0  all passed
    1  something failed
    2  usage or configuration
    3  nothing to run
    4  infrastructure: no engine, an image that cannot be had
    5  inconclusive: a required cell is unknown or unavailable
  130  interrupted
"""


class _Commands(click.Group):
    """Imports `bench.cli.NAME_command` when NAME is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"bench.cli.{cmd_name}_command").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"forkbench {bench.__version__}")
        ctx.exit()


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli() -> None:
    """Test programs made of several processes: every Python, every start method, pinned CPUs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Args:
        arguments: those after the command's name; `None` takes the process's own.
    """
    with called_as(sys.argv[0] if sys.argv else ""):
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    _prepare_streams()
    stdout = sys.stdout
    try:
        with _sigterm_interrupts():
            status = cli.main(arguments, prog_name=command_name(), standalone_mode=False)
            sys.stdout.flush()
            return status if isinstance(status, int) else 0
    except (BrokenPipeError, SystemExit) as error:
        # The reader is gone, as after `| head`. click then wraps standard output and exits with 1: "a test failed".
        if isinstance(error, SystemExit) and sys.stdout is stdout:
            raise
        _silence_stdout()
        return BROKEN_PIPE
    except (BenchError, click.ClickException, click.Abort, KeyboardInterrupt) as error:
        message, status = _explained(error)
        with contextlib.suppress(OSError, ValueError):  # standard error may be closed
            click.echo(message, err=True)
        return status


def _explained(error: BaseException) -> tuple[str, int]:
    match error:
        case BenchError():
            return f"{command_name()}: {error}", error.exit_status
        case click.exceptions.NoArgsIsHelpError():
            return error.format_message(), UsageError.exit_status
        case click.UsageError():
            hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            return f"{command_name()}: {_sentence(error.format_message())}{hint}", UsageError.exit_status
        case click.ClickException():
            return f"{command_name()}: {error.format_message()}", UsageError.exit_status
        case _:
            return f"{command_name()}: interrupted", Interrupted.exit_status


def _sentence(message: str) -> str:
    text = " ".join(message.split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _prepare_streams() -> None:
    # A test may print or raise any character; a terminal that cannot show it is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _silence_stdout() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: in order, and the records stay."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals are the caller's business
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
