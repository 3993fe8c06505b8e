"""Folders of samples: made, and removed by the next start where the process that made them was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.process import journal
from bench.process.folders import reap, sample_folder
from bench.process.owners import this_owner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")


def owned(parent: Path, name: str, owner: str) -> Path:
    folder = parent / name
    (folder / "tmp").mkdir(parents=True)
    (folder / "owner").write_text(owner)
    return folder


@pytest.fixture
def dead() -> str:
    """An owner that is no more."""
    here, _, _ = this_owner().rsplit(":", 2)
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    return f"{here}:{ended.pid}:1"


@pytest.fixture
def straggler(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the folder `bench-dead`, which its owner left behind."""
    process = subprocess.Popen(["sleep", "600"], env={journal.VARIABLE: str(tmp_path / "bench-dead")})
    yield process
    process.kill()
    process.wait()


def test_what_a_killed_owner_left_is_removed_and_nothing_else(
    tmp_path: Path, dead: str, straggler: subprocess.Popen[bytes]
) -> None:
    killed = owned(tmp_path, "bench-dead", dead)
    alive = owned(tmp_path, "bench-alive", this_owner())
    elsewhere = owned(tmp_path, "bench-elsewhere", "another boot:1:1")
    others = owned(tmp_path, "others-dead", dead)
    assert reap(str(tmp_path)) == [str(killed)]
    assert straggler.wait(30)
    assert (killed.exists(), alive.exists(), elsewhere.exists(), others.exists()) == (False, True, True, True)
    assert reap(str(tmp_path)) == []


def test_a_name_in_shared_memory_goes_with_its_sample(tmp_path: Path, dead: str) -> None:
    killed = owned(tmp_path, "bench-dead", dead)
    name = f"/bench-test-{os.getpid()}"
    left = Path(f"/dev/shm{name}")
    journal.append(str(killed), "named", name=name, type="shared_memory")
    left.write_bytes(b"")
    try:
        reap(str(tmp_path))
        assert not left.exists()
    finally:
        left.unlink(missing_ok=True)


def test_the_folder_of_a_sample_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    with sample_folder() as folder:
        assert (folder / "owner").read_text() == this_owner()
    assert not folder.exists()
