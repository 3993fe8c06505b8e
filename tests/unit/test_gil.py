from __future__ import annotations

from pathlib import Path

import pytest

from bench.cells import parse_cell
from bench.matrix.engines.base import Ended
from bench.matrix.engines.status import status_of
from bench.process import gil
from bench.record import Lock, RecordLine, Test, from_json, to_json
from tests.unit.test_granted import facts

NAME = "py314t-spawn-cpu1"


class Spec:
    def __init__(self, name: str) -> None:
        self.name = name


class Process:
    """A Python of which some extensions switch the lock on."""

    def __init__(self, *careless: str) -> None:
        self.careless = careless
        self.on = False

    def loader(self) -> type:
        process = self

        class Loader:
            def create_module(self, spec: Spec) -> Spec:
                return spec

            def exec_module(self, module: Spec) -> None:
                process.on |= module.name in process.careless

        return Loader


@pytest.mark.parametrize(
    ("imported", "careless", "read"),
    [
        ([], (), (1, ())),
        (["a", "b"], (), (1, ())),
        (["a", "b", "c"], ("b", "c"), (0, ("b",))),
    ],
)
def test_the_module_that_switches_the_lock_on_is_noted(
    tmp_path: Path, imported: list[str], careless: tuple[str, ...], read: tuple[int, tuple[str, ...]]
) -> None:
    process, path = Process(*careless), str(tmp_path / "gil")
    loader = process.loader()
    gil.watch(path, loader, lambda: process.on)
    for name in imported:
        loader().exec_module(loader().create_module(Spec(name)))
    gil.note_end(path, lambda: process.on)
    assert gil.read(path) == read


def test_a_lock_that_is_on_for_no_known_reason_is_on(tmp_path: Path) -> None:
    path = str(tmp_path / "gil")
    assert gil.read(path) == (0, ())
    gil.note_end(path, lambda: False)
    gil.note_end(path, lambda: True)
    off, (why,) = gil.read(path)
    assert (off, "not known" in why) == (1, True)


PASSED = Test(NAME, "test_a.py::test", "passed", 0.1)
FAILED = Test(NAME, "test_a.py::test", "failed", 0.1)


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        ((PASSED, Lock(NAME, 2)), "pass", ""),
        ((PASSED,), "unknown", "no Python of the cell says that the GIL stayed off"),
        ((PASSED, Lock(NAME, 0)), "unknown", "no Python"),
        (
            (PASSED, Lock(NAME, 2, ("_fast",))),
            "mismatch",
            "the GIL on, by the import of _fast, where it was to stay off",
        ),
        ((FAILED, Lock(NAME, 0, ("_fast",))), "mismatch", "_fast"),
    ],
)
def test_a_free_threaded_cell_passes_only_where_the_lock_stayed_off(
    lines: tuple[RecordLine, ...], status: str, why: str
) -> None:
    found = status_of(Ended(0), (facts(NAME), *lines), cell=parse_cell(NAME), cpus=(0,), command=("pytest",))
    assert (found[0], why in found[1]) == (status, True)


def test_the_line_is_read_back() -> None:
    line = Lock(NAME, 3, ("_a", "_b"))
    assert from_json(to_json(line)) == line
