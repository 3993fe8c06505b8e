"""Errors meant for a person: one class for each exit status, caught once, in the command's `main`.

The message of each says in one or two lines what is wrong and what to do about it.
"""

from __future__ import annotations

PASSED = 0
"""Exit status when everything passed."""

FAILED = 1
"""Exit status when a test failed: a finding, not an error of the bench."""


class BenchError(Exception):
    """What ends a command early; `exit_status` is the process's exit status."""

    exit_status: int


class UsageError(BenchError):
    """The command line, the configuration or a user's file is wrong."""

    exit_status = 2


class NothingToRun(BenchError):
    """The selection is valid and leaves nothing."""

    exit_status = 3


class Unavailable(BenchError):
    """Infrastructure is missing: no engine, an image that cannot be had, CPUs that this host could never grant."""

    exit_status = 4


class Inconclusive(BenchError):
    """Nothing failed, but a result that was required is unknown or unavailable."""

    exit_status = 5


class Interrupted(BenchError):
    """A person or a supervisor stopped the command; what was recorded until then is kept."""

    exit_status = 130
