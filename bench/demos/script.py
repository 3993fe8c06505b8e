"""Running a module of demos as a script."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Sequence

from bench.declared import Program, defined_in
from bench.outcomes import Outcome


def show(arguments: Sequence[str] | None = None, *, module: str = "__main__") -> None:
    """Run programs of a module once each, in this process, and print what they returned.

    Nothing is graded here, and nobody looks after children that fail: that is what `bench run` does.

    Args:
        arguments: start method and names of programs, both optional; `None` takes the command line's. A program
            that is expected to hang runs only if it is named.
        module: the name of an imported module.
    """
    programs = {one.name: one for one in defined_in(sys.modules[module]) if isinstance(one, Program)}
    chosen = _parser(programs).parse_args(arguments)
    if chosen.method:
        multiprocessing.set_start_method(chosen.method)
    mp = multiprocessing.get_context(multiprocessing.get_start_method())
    for name in chosen.program or programs:
        if not chosen.program and _hangs(programs[name]):
            print(f"{name}: hangs, so it runs only if you name it; end it with Ctrl-C")
        else:
            print(f"{name}: {vars(sys.modules[module])[name](mp)!r}", flush=True)


def _parser(programs: dict[str, Program]) -> argparse.ArgumentParser:
    methods = multiprocessing.get_all_start_methods()
    parser = argparse.ArgumentParser(description="Run these programs once each and print what they return.")
    parser.add_argument("method", nargs="?", choices=methods, help="this Python's default if none is given")
    parser.add_argument("program", nargs="*", help=f"one of {', '.join(programs)}", type=_one_of(programs))
    return parser


class _one_of:  # noqa: N801  # argparse names a type by its name; `choices` refuses an empty list before Python 3.14
    def __init__(self, names: dict[str, Program]) -> None:
        self.names = names

    def __call__(self, name: str) -> str:
        if name not in self.names:
            raise argparse.ArgumentTypeError(f"no program {name}; there are {', '.join(self.names)}")
        return name


def _hangs(program: Program) -> bool:
    hang = Outcome("hang", detail={"phase": "program"})
    return any(one.matcher.matches(hang) for one in program.expectations if one.grade != "forbidden")
