from __future__ import annotations

import threading
from functools import partial

import pytest

from bench.errors import Interrupted, Unavailable
from bench.matrix.images.building import build_failure, follow_build
from bench.matrix.images.engine import LABEL, Image, Store, without_secrets
from bench.matrix.images.waiting import bounded, in_threads


def test_the_first_error_of_pip_explains_a_failed_build() -> None:
    said = "Collecting nope\n\x1b[91mERROR: No matching distribution found for nope\n\x1b[0mERROR: later\n"
    error = "The command '/bin/sh -c pip' returned a non-zero code: 1"
    assert build_failure(said, error) == "ERROR: No matching distribution found for nope (pip ended with 1)"
    assert build_failure("quiet\n", "no space\nleft on device\n") == "no space left on device"


def test_a_failed_build_shows_no_password() -> None:
    events = iter([{"stream": "ERR"}, {"stream": "OR: https://me:secret@host/simple is down\n"}, {"error": "1"}])
    with pytest.raises(Unavailable, match=r"building x:1: ERROR: https://\*\*\*\*@host/simple") as caught:
        follow_build("x:1", events)
    assert "secret" not in str(caught.value)


def test_an_address_without_a_password_stays() -> None:
    assert without_secrets('Get "https://registry/v2/": dial') == 'Get "https://registry/v2/": dial'


def image(name: str, created_s: int, *tags: str, **labels: str) -> Image:
    return Image(name, tags, {f"org.forkbench.{key}": value for key, value in labels.items()}, 1, created_s)


def test_images_are_found_by_tag_and_by_labels_newest_first() -> None:
    old, new = image("old", 1, "a:1", image="base"), image("new", 2, "a:2", image="base", python="3.12")
    store = Store((old, new, image("other", 3, "b:1")))

    assert store.tagged("a:2") is new
    assert store.tagged("a:3") is None
    assert store.labelled(image="base") == [new, old]
    assert store.labelled(image="base", python="3.12") == [new]
    assert LABEL in new.labels


def test_a_call_that_takes_too_long_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match=r"0\.01 s"):
        bounded(never.wait, 0.01)
    never.set()


def test_a_call_in_time_gives_its_value_or_its_error() -> None:
    assert bounded(lambda: 7, 10) == 7
    with pytest.raises(KeyError):
        bounded(lambda: {"a": 1}["x"], 10)


def test_tasks_give_their_results_by_key() -> None:
    assert in_threads({n: partial(pow, n, 2) for n in range(5)}, jobs=2) == {0: 0, 1: 1, 2: 4, 3: 9, 4: 16}


def test_no_more_tasks_run_at_once_than_there_are_jobs() -> None:
    both_in, lock, inside, most = threading.Barrier(2, timeout=10), threading.Lock(), [0], [0]

    def task() -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        both_in.wait()
        with lock:
            inside[0] -= 1

    in_threads(dict.fromkeys(range(4), task), jobs=2)
    assert most == [2]


def test_waiting_ends_at_once_when_it_is_stopped() -> None:
    stop, never = threading.Event(), threading.Event()

    def task() -> None:
        stop.set()
        never.wait(10)

    with pytest.raises(Interrupted):
        in_threads({1: task}, jobs=1, stop=stop)
    never.set()
