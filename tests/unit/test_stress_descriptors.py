"""What a process has open."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from bench.process.descriptors import open_descriptors, own_of_multiprocessing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are read from /proc")


def test_a_file_is_there_while_it_is_open_and_a_shared_library_never(tmp_path: Path) -> None:
    for name in ("plain", "lib.so", "lib.so.6"):
        (tmp_path / name).touch()
    numbers = [os.open(tmp_path / name, os.O_RDONLY) for name in ("plain", "lib.so", "lib.so.6")]
    try:
        seen = open_descriptors()
    finally:
        for number in numbers:
            os.close(number)
    assert seen[numbers[0]] == str(tmp_path / "plain")
    assert not {numbers[1], numbers[2]} & set(seen)
    assert numbers[0] not in open_descriptors()


def test_what_a_copy_of_multiprocessing_holds_open_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        copy = types.ModuleType("copied.resource_tracker")
        vars(copy)["_resource_tracker"] = types.SimpleNamespace(_fd=writing)
        now = open_descriptors()
        assert (writing, now[writing]) not in own_of_multiprocessing(now)
        monkeypatch.setitem(sys.modules, "copied.resource_tracker", copy)
        assert (writing, now[writing]) in own_of_multiprocessing(now)
    finally:
        os.close(reading)
        os.close(writing)
