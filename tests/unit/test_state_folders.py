"""Folders that a state made: seen to change, and restored."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.process import journal
from bench.state import folders
from bench.state.folders import Snapshot
from bench.state.restoring import Restorer
from bench.state.survey import Unrestorable, survey
from bench.state.watching import Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="samples run on Linux")


class State:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of a sample that this process takes itself to be of."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv(journal.VARIABLE, str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


@pytest.fixture
def folder(temporary: Path) -> Path:
    made = temporary / "mine"
    (made / "inner").mkdir(parents=True)
    (made / "file").write_bytes(b"as it was")
    (made / "inner" / "empty").touch()
    (made / "link").symlink_to("file")
    return made


def content(top: Path) -> dict[str, object]:
    found: dict[str, object] = {".": stat.filemode(top.stat().st_mode)}
    for path in sorted(top.rglob("*")):
        info = path.lstat()
        held = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(top))] = (stat.filemode(info.st_mode), held)
    return found


def swap(folder: Path) -> None:
    (folder / "file").unlink()
    (folder / "file").mkdir()
    (folder / "file" / "deep").touch()


def lead_elsewhere(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("inner")


def name_twice(folder: Path) -> None:
    (folder / "one").touch()
    os.link(folder / "one", folder / "two")


def rename(folder: Path) -> None:
    (folder / "other").write_bytes(b"replaced!")
    (folder / "other").rename(folder / "file")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file more": lambda folder: (folder / "new").touch(),
    "a folder more": lambda folder: (folder / "inner" / "new" / "deep").mkdir(parents=True),
    "a file less": lambda folder: (folder / "file").unlink(),
    "a folder less": lambda folder: shutil.rmtree(folder / "inner"),
    "longer": lambda folder: (folder / "file").write_bytes(b"as it was, and more"),
    "shorter": lambda folder: (folder / "file").write_bytes(b"as"),
    "of one length": lambda folder: (folder / "file").write_bytes(b"as it is!"),
    "another in its place": rename,
    "a mode": lambda folder: (folder / "file").chmod(0o400),
    "the mode of a folder": lambda folder: (folder / "inner").chmod(0o711),
    "its own mode": lambda folder: folder.chmod(0o750),
    "a link elsewhere": lead_elsewhere,
    "a second name": lambda folder: os.link(folder / "file", folder / "second"),
    "another kind": swap,
    "a pipe": lambda folder: os.mkfifo(folder / "pipe"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_seen_and_restored(folder: Path, change: str) -> None:
    before, snapshot = content(folder), Snapshot(str(folder))
    assert not snapshot.changed()
    CHANGES[change](folder)
    assert snapshot.changed()
    snapshot.restore()
    assert content(folder) == before
    assert not snapshot.changed()


def test_a_change_of_one_length_is_seen_at_once_whatever_the_clock_of_the_disk_says(folder: Path) -> None:
    snapshot, info = Snapshot(str(folder)), (folder / "file").stat()
    (folder / "file").write_bytes(b"as it is!")
    os.utime(folder / "file", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert snapshot.changed()


def test_a_folder_that_is_gone_cannot_be_restored(folder: Path) -> None:
    states = [State(folder=str(folder))]
    restorer = Restorer(states)
    shutil.rmtree(folder)
    (left,) = restorer.inspect().values()
    assert left.spoiled


def test_a_state_has_its_folder_restored_whichever_way_it_names_it(temporary: Path) -> None:
    states = []
    for number, name in enumerate(("", "file", "not/there/yet")):
        top = temporary / f"state{number}"
        top.mkdir()
        states.append(State(path=str(top / name) if number % 2 else top / name))
    restorer = Restorer(states)
    (temporary / "state1" / "file").touch()
    (temporary / "state2" / "not").mkdir()
    assert restorer.inspect(among={0, 2}) == {}
    assert restorer.restore() == set()
    assert not (temporary / "state2" / "not").exists()
    assert (temporary / "state1" / "file").exists()
    assert restorer.inspect() == {}
    restorer.restore()
    assert not (temporary / "state1" / "file").exists()


def test_what_cannot_be_shown_of_folders(temporary: Path, folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "elsewhere", temporary, temporary / "not there" / "x", Path("mine/file"), Path("/")):
        with pytest.raises(Unrestorable, match="path: perhaps a path"):
            survey(State(path=path))
    with pytest.raises(Unrestorable, match="path: a folder that several states have"):
        Restorer([State(path=folder / "file"), State(path=folder / "link")])
    with (folder / "file").open("rb"), pytest.raises(Unrestorable, match="path: a folder in which something is open"):
        Restorer([State(path=folder / "file")])
    Restorer([State(path=folder, again=folder / "file")])


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda top: [(top / str(n)).touch() for n in range(folders.MOST_ENTRIES + 1)], "more than 64 entries"),
        (lambda top: (top / "big").write_bytes(b"\0" * (folders.MOST_BYTES + 1)), "1048576 bytes"),
        (lambda top: os.mkfifo(top / "pipe"), "pipe in it is neither"),
        (lambda top: (top / "out").symlink_to("/etc"), "out in it leads elsewhere"),
        (name_twice, "neither"),
    ],
)
def test_what_is_large_or_strange_has_no_snapshot(temporary: Path, make: Callable[[Path], object], match: str) -> None:
    (temporary / "mine").mkdir()
    make(temporary / "mine")
    with pytest.raises(Unrestorable, match=match):
        Restorer([State(path=temporary / "mine")])


def test_outside_of_a_sample_no_folder_is_anybodys_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.top_folder(str(folder / "file")) == str(folder)
    monkeypatch.delenv(journal.VARIABLE)
    assert folders.top_folder(str(folder / "file")) is None


def test_what_is_left_beside_a_folder_is_named(temporary: Path, folder: Path) -> None:
    restorer = Restorer([State(path=folder)])
    (temporary / "pymp-arena").mkdir()
    restorer.inspect()
    assert restorer.unrestorable == ""
    (temporary / "mine.lock").touch()
    restorer.inspect()
    assert restorer.unrestorable == "mine.lock was left beside the folders of the states"


def test_a_file_left_open_is_named(folder: Path) -> None:
    class Mine(State):
        pass

    watch = Watch([Mine(path=folder)])
    assert watch.undo() == ""
    with (folder / "file").open("rb"):
        assert watch.undo() == "a file open in mine"
    assert watch.undo() == ""
