"""The start methods that tests choose themselves, and forks while threads run: seen in the process that runs the tests.

The cell's method is the default. A test that starts processes by another one chose it: by a context of its own, or by
`set_start_method`. Packages that are copies of `multiprocessing` have a default of their own.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import warnings

    from bench.pytest_plugin.islands import Marking

_PACKAGES = ("multiprocessing", "multiprocess", "billiard")
_COMPLAINT = re.compile(r"resource_tracker|leaked (semaphore|shared_memory)")
_NUMBER = re.compile(r"[-_]\d+.*$")


class Attest:
    """Notes, for each test of this process, start methods of its own and warnings that are hidden by default."""

    def __init__(self, marking: Marking, method: str) -> None:
        self._marking = marking
        self._method = method
        self._pid = os.getpid()
        self._test = ""
        self._patched: set[str] = set()
        self._noted: set[tuple[str, str]] = set()
        self._ours: set[int] = set()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._forking)

    def pytest_collection_finish(self) -> None:
        """Patch what starts processes, in each package that is imported by now; threads until here are no test's."""
        self._ours = {id(one) for one in threading.enumerate()}
        self._patch_packages()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Know which test is at hand."""
        self._test = item.nodeid
        self._noted.clear()
        self._patch_packages()

    def _patch_packages(self) -> None:
        for package in _PACKAGES:
            process = sys.modules.get(f"{package}.process")
            if process is not None and package not in self._patched:
                self._patched.add(package)
                base: Any = process.BaseProcess
                base.start = self._starting(base.start, package)

    def _starting(self, real: Callable[[Any], None], package: str) -> Callable[[Any], None]:
        @functools.wraps(real)
        def start(process: Any) -> None:
            __tracebackhide__ = True  # a test that fails in there shows what it calls
            if os.getpid() == self._pid and self._test:
                self._note_method(process, package)
            real(process)

        return start

    def _note_method(self, process: Any, package: str) -> None:
        context: Any = sys.modules.get(f"{package}.context")
        default = getattr(context, "_default_context", None)
        fixed = getattr(getattr(default, "_actual_context", None), "_name", None)
        method = getattr(process, "_start_method", None)
        if method is None and default is not None:
            method = getattr(default.get_context(), "_name", None)
        if method is None or method == self._method:
            return
        if fixed == method:
            by = "set_start_method"
        elif package == "multiprocessing":
            by = "get_context"
        else:
            by = package
        if (method, by) not in self._noted:
            self._noted.add((method, by))
            self._marking.note(self._test, methods=[(method, by)])

    def _forking(self) -> None:
        if os.getpid() != self._pid or not self._test:
            return
        others = sorted(
            _NUMBER.sub("", one.name)
            for one in threading.enumerate()
            if one is not threading.current_thread() and id(one) not in self._ours and one.is_alive()
        )
        if others and ("fork", self._test) not in self._noted:
            self._noted.add(("fork", self._test))
            self._marking.note(
                self._test, warnings=[f"forked while other threads ran ({', '.join(dict.fromkeys(others))})"]
            )

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, nodeid: str) -> None:
        """Note what resource trackers complain of within a test."""
        if nodeid and _COMPLAINT.search(text := str(warning_message.message)):
            self._marking.note(nodeid, warnings=[text])
