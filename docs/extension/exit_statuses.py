"""The exit statuses, read from the classes of errors."""

from __future__ import annotations

from bench import errors
from docs.extension import markdown


def section() -> str:
    """Return a table of the exit statuses, the least first."""
    raised = [(one.exit_status, one.__doc__ or "") for one in errors.BenchError.__subclasses__()]
    rows = [(errors.PASSED, "Everything passed."), (errors.FAILED, "Something failed: a finding."), *sorted(raised)]
    return markdown.table(["Exit status", "Meaning"], [[markdown.code(str(number)), text] for number, text in rows])
