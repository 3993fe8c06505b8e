"""The end of a process: waited for, seen, and in words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from bench.process import ended
from bench.process.ended import has_ended, how_it_ended, signal_name, wait_for_end

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="pidfd_open and /proc are Linux's")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when its standard input does."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    yield process
    process.kill()
    process.communicate()


@on_linux
@pytest.mark.parametrize("descriptors", [True, False])
def test_an_end_is_waited_for_and_left_to_be_collected(
    child: subprocess.Popen[bytes], descriptors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not descriptors:
        monkeypatch.setattr(ended, "end_descriptor", lambda _: None)  # a kernel that has none
    begun = time.monotonic()
    assert not wait_for_end(child.pid, 0.05)
    assert time.monotonic() - begun >= 0.04
    assert not has_ended(child.pid)
    child.kill()
    assert wait_for_end(child.pid)
    assert has_ended(child.pid)
    assert os.waitpid(child.pid, os.WNOHANG)[0] == child.pid
    assert wait_for_end(child.pid, 5)  # at once: there is no such process


def test_signals_without_a_name_keep_their_number() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(63) == "signal 63"


def test_an_exit_code_below_zero_is_a_signal() -> None:
    assert [how_it_ended(code) for code in (0, 3, -9, None)] == [
        {"exit": 0},
        {"exit": 3},
        {"signal": "SIGKILL"},
        {"exit": None},
    ]
