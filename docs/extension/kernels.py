"""The corpus of known bugs: one table of all, and a section for each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench.kernels.corpus import KERNELS, Kernel
from docs.extension import markdown
from docs.extension.excerpts import excerpt, fenced, used


def table() -> str:
    """Return a table with a line for each kernel, which links to its section."""
    rows = [
        [f"[{one.name}](#{anchor(one.name)})", str(one.processes), str(one.preemptions), _shows(one)] for one in KERNELS
    ]
    return markdown.table(["Kernel", "Processes", "Preemptions", "Shows as"], rows)


def of_module(name: str) -> str:
    """Return the sections of the kernels that `bench.kernels.NAME` defines."""
    module = f"bench.kernels.{name}"
    return markdown.join(*(_section(one) for one in KERNELS if one.buggy.__module__ == module))


MODULES = tuple(dict.fromkeys(one.buggy.__module__.rpartition(".")[2] for one in KERNELS))
SECTIONS: Mapping[str, Callable[[], str]] = {
    "kernels": table,
    **{f"kernels of {name}": partial(of_module, name) for name in MODULES},
}
"""Each name of a mark with the function that returns its Markdown."""


def _section(kernel: Kernel) -> str:
    return markdown.join(
        f"### {kernel.name[0].upper()}{kernel.name[1:]}",
        kernel.sentence,
        f"- **Described in:** {kernel.source}\n"
        f"- **Shows as:** {_shows(kernel)}\n"
        f"- **Takes:** {kernel.processes} processes and {_preemptions(kernel.preemptions)}",
        _code(kernel.buggy, used(kernel.buggy.__module__, kernel.buggy.__name__)),
        f"**The fix.** {inspect.getdoc(kernel.fixed)}",
        _code(kernel.fixed),
        f"```text\nbench explore {_target(kernel.buggy)}\nbench explore {_target(kernel.fixed)}\n```",
    )


def _shows(kernel: Kernel) -> str:
    right = f"where {markdown.code(repr(kernel.right))} is right"
    if kernel.shows == "hang":
        return f"a deadlock, {right}"
    if kernel.shows == "raised":
        return f"an exception, {right}"
    wrong = " or ".join(markdown.code(repr(one)) for one in kernel.wrong) or "another value"
    return f"{wrong}, {right}"


def _preemptions(count: int) -> str:
    return "no preemption" if not count else f"{count} preemption{'' if count == 1 else 's'}"


def _code(scenario: Callable[..., object], before: Sequence[str] = ()) -> str:
    return fenced(excerpt(scenario.__module__, [*before, scenario.__name__]))


def _target(scenario: Callable[..., object]) -> str:
    return f"{scenario.__module__}:{scenario.__name__}"


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets: in lower case, without punctuation, its words joined by dashes."""
    return "-".join("".join(one for one in heading.lower() if one.isalnum() or one in "- ").split())
