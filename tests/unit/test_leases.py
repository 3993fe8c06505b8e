from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import leases
from bench.errors import Unavailable, UsageError
from bench.leases import Lease, holders, lease_cpus, try_lease
from bench.testing import FakeClock


def held(folder: Path, *cpus: int, holder: str = "test") -> Lease:
    lease = try_lease(cpus, holder=holder, folder=folder)
    assert lease is not None
    return lease


def test_a_lease_holds_its_cpus_until_it_is_released(tmp_path: Path) -> None:
    lease = held(tmp_path / "l", 3, 1)
    assert (lease.cpus, lease.held) == ((1, 3), True)
    assert try_lease([1], holder="other", folder=tmp_path / "l") is None
    lease.release()
    lease.release()
    assert not lease.held
    with held(tmp_path / "l", 1):
        pass
    assert try_lease([1], holder="other", folder=tmp_path / "l") is not None


def test_all_or_nothing_is_held(tmp_path: Path) -> None:
    with held(tmp_path / "l", 1):
        assert try_lease([0, 1, 2], holder="wide", folder=tmp_path / "l") is None
        with held(tmp_path / "l", 0, 2):
            pass


def test_the_first_free_cpus_are_taken(tmp_path: Path) -> None:
    with (
        held(tmp_path / "l", 1),
        lease_cpus(2, among=[4, 2, 1, 0], timeout_s=0, holder="test", folder=tmp_path / "l") as cpus,
    ):
        assert cpus == (0, 2)


def test_waiting_ends_when_a_holder_lets_go(tmp_path: Path) -> None:
    lease = held(tmp_path / "l", 0)
    clock = FakeClock(on_sleep=lambda _: lease.release())
    with lease_cpus(1, among=[0], timeout_s=9, holder="w", folder=tmp_path / "l", clock=clock, sleep=clock.sleep):
        assert [one.holder for one in holders(tmp_path / "l")] == ["w"]
    assert len(clock.sleeps) == 1


def test_waiting_is_bounded_and_names_who_holds(tmp_path: Path) -> None:
    clock = FakeClock()
    with (
        held(tmp_path / "l", 0, holder="run 7"),
        pytest.raises(Unavailable, match=rf"did not become free in 2 s; held: CPU 0 by run 7 \(pid {os.getpid()}\)"),
        lease_cpus(2, among=[0, 1], timeout_s=2, holder="w", folder=tmp_path / "l", clock=clock, sleep=clock.sleep),
    ):
        pass
    assert 2 <= clock() < 2 + 1.5 * leases.POLL_S
    assert len(set(clock.sleeps)) > 1, "two that collide must not come back at the same times"


def test_timeout_zero_tries_once(tmp_path: Path) -> None:
    clock = FakeClock()
    with (
        held(tmp_path / "l", 0),
        pytest.raises(Unavailable),
        lease_cpus(1, among=[0], timeout_s=0, holder="w", folder=tmp_path / "l", clock=clock, sleep=clock.sleep),
    ):
        pass
    assert clock.sleeps == []


@pytest.mark.parametrize(("count", "error"), [(0, UsageError), (-1, UsageError), (3, Unavailable), (4096, Unavailable)])
def test_a_count_that_can_never_be_granted_is_refused_at_once(
    tmp_path: Path, count: int, error: type[Exception]
) -> None:
    with pytest.raises(error), lease_cpus(count, among=[0, 1, 1], timeout_s=99, holder="w", folder=tmp_path / "l"):
        pass


def test_a_failed_block_gives_its_cpus_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lease_cpus(1, among=[0], timeout_s=0, holder="w", folder=tmp_path / "l"):
        raise KeyboardInterrupt
    held(tmp_path / "l", 0).release()


def test_holders_are_listed_by_cpu(tmp_path: Path) -> None:
    assert holders(tmp_path / "l") == []
    with held(tmp_path / "l", 10, holder="b"), held(tmp_path / "l", 2, holder="a"):
        found = holders(tmp_path / "l")
        assert [(one.cpu, one.pid, one.holder) for one in found] == [(2, os.getpid(), "a"), (10, os.getpid(), "b")]
    assert holders(tmp_path / "l") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"pid": 1}', "\x00" * 9000])
def test_a_holder_that_wrote_nonsense_is_read_over(tmp_path: Path, text: str) -> None:
    with held(tmp_path / "l", 0):
        (tmp_path / "l" / "cpu0").write_text(text)
        assert holders(tmp_path / "l") == []


def test_what_a_dead_holder_wrote_is_no_holder(tmp_path: Path) -> None:
    held(tmp_path / "l", 0).release()
    (tmp_path / "l" / "cpu0").write_text(json.dumps({"pid": 1, "holder": "dead", "since": 0}))
    assert holders(tmp_path / "l") == []


def test_all_users_can_share_the_folder_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        held(tmp_path / "l", 0).release()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "l").stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / "l" / "cpu0").stat().st_mode) == 0o666
    assert os.listdir(tmp_path / "l") == ["cpu0"]


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    target = tmp_path / "precious"
    target.write_text("text")
    (tmp_path / "l" / "cpu0").symlink_to(target)
    with pytest.raises(Unavailable, match="cannot open the lease of cpu0"):
        try_lease([0], holder="test", folder=tmp_path / "l")
    assert target.read_text() == "text"


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "l").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="cannot use"):
        try_lease([0], holder="test", folder=tmp_path / "l")
    assert not os.listdir(tmp_path / "elsewhere")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    os.mkfifo(tmp_path / "l" / "cpu0")
    with pytest.raises(Unavailable, match="is no file"):
        try_lease([0], holder="test", folder=tmp_path / "l")
    assert holders(tmp_path / "l") == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l").touch()
    with pytest.raises(Unavailable, match="cannot use"):
        holders(tmp_path / "l")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
@pytest.mark.parametrize(("mode", "refused"), [(0o777, True), (0o1777, False)])
def test_the_folder_of_another_user_must_be_sticky(tmp_path: Path, mode: int, refused: bool) -> None:
    (tmp_path / "l").mkdir()
    (tmp_path / "l").chmod(mode)
    os.chown(tmp_path / "l", 12345, 12345)
    if refused:
        with pytest.raises(Unavailable, match="another user"):
            try_lease([0], holder="test", folder=tmp_path / "l")
    else:
        held(tmp_path / "l", 0).release()


def test_a_lock_removed_between_open_and_lock_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "l"
    held(folder, 0).release()
    place = os.open(folder, os.O_RDONLY)
    stale = os.open("cpu0", os.O_RDWR, dir_fd=place)
    assert leases._is_current(place, "cpu0", stale)
    (folder / "cpu0").unlink()
    assert not leases._is_current(place, "cpu0", stale)
    with held(folder, 0):
        assert not leases._is_current(place, "cpu0", stale)
    os.close(stale)
    os.close(place)


def test_a_platform_without_file_locks_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "fcntl", None)
    with pytest.raises(Unavailable, match="this platform lacks"):
        try_lease([0], holder="test", folder=tmp_path / "l")
    with pytest.raises(Unavailable, match="this platform lacks"):
        holders(tmp_path / "l")


@settings(deadline=None)  # real files
@given(st.lists(st.tuples(st.integers(1, 4), st.sets(st.integers(0, 3), min_size=1)), max_size=8))
def test_leases_of_one_time_never_overlap(
    tmp_path_factory: pytest.TempPathFactory, wishes: list[tuple[int, set[int]]]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "overlap"
    granted = [leases._try(min(count, len(among)), sorted(among), "test", folder) for count, among in wishes]
    kept = [lease for lease in granted if lease is not None]
    cpus = [cpu for lease in kept for cpu in lease.cpus]
    assert len(cpus) == len(set(cpus))
    for lease, (count, among) in zip(granted, wishes, strict=True):
        free = among.difference(cpus)
        assert lease is not None or len(free) < min(count, len(among)), "it would have fit"
    for lease in kept:
        lease.release()
