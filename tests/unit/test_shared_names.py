"""Names of semaphores and segments that a sample has made."""

from __future__ import annotations

from typing import Any

from bench.process.shared_names import names_left, path_of, shared_names


def test_a_segment_is_named_once_though_its_making_and_its_tracking_are_both_journalled() -> None:
    events: list[dict[str, Any]] = [
        {"event": "named", "type": "shared_memory", "name": "/psm_1"},
        {"event": "named", "type": "shared_memory", "name": "/psm_1"},
        {"event": "named", "type": "semaphore", "name": "/mp-a"},
        {"event": "named", "type": "folder", "name": "/tmp/x"},
        {"event": "started", "child": 1},
    ]
    assert shared_names(events) == [("shared_memory", "/psm_1"), ("semaphore", "/mp-a")]


def test_a_semaphore_stands_under_a_name_of_its_own() -> None:
    assert path_of("semaphore", "/mp-a") == "/dev/shm/sem.mp-a"
    assert path_of("shared_memory", "/psm_1") == path_of("shared_memory", "psm_1") == "/dev/shm/psm_1"


def test_what_was_never_made_is_not_left() -> None:
    assert names_left([("semaphore", "/bench-never-made")], "semaphore") == []
