from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import Interrupted, Unavailable
from bench.matrix.images.building import build_failure, follow_build
from bench.matrix.images.engine import LABEL, Image, Store, disk_usage, without_secrets
from bench.matrix.images.superseded import orphans, superseded
from bench.matrix.images.waiting import bounded, in_threads, is_held


def test_the_first_error_of_pip_explains_a_failed_build() -> None:
    said = "Collecting nope\n\x1b[91mERROR: No matching distribution found for nope\n\x1b[0mERROR: later\n"
    error = "The command '/bin/sh -c pip' returned a non-zero code: 1"
    assert build_failure(said, error) == "ERROR: No matching distribution found for nope (it ended with 1)"
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


def made(name: str, created_s: int, python: str, of: str = "") -> Image:
    labels = {"project": "mine", "python": python, "from": of}
    return image(name, created_s, f"p:{name}", **labels)


def test_of_a_projects_images_the_newest_two_of_each_python_stay_and_that_of_now() -> None:
    store = Store(
        (
            *(made(f"a{n}", n, "3.14") for n in range(4)),
            made("b0", 0, "3.11"),
            image("other", 0, "o:1", project="yours"),
        )
    )
    assert superseded(store, "mine", ()) == ["p:a1", "p:a0"]
    assert superseded(store, "mine", ("p:a0",)) == ["p:a2", "p:a1"]
    assert superseded(store, "yours", ()) == []


def test_what_projects_images_are_made_of_stays_as_long_as_they_do() -> None:
    below = [image(name, 0, f"s:{name}", **{"for": "project"}) for name in ("used", "left")]
    young = image("young", 5000, "s:young", **{"for": "project"})
    store = Store((made("a", 0, "3.14", "s:used x:1"), *below, young, image("plain", 0, "s:plain")))
    assert orphans(store, 5000.0 + 60) == ["s:left"]


def test_an_image_is_held_until_it_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    holder = (
        "import sys; from bench.matrix.images.waiting import hold; hold('p:1'); print(flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert is_held("p:1")
        assert not is_held("p:2")
        other.communicate(timeout=30)
    assert not is_held("p:1")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [({"LayersSize": 7}, 7), ({"LayersSize": None, "ImageUsage": {"TotalSize": 8}}, 8), ({}, 0)],
)
def test_the_use_of_the_disk_is_read_from_older_and_newer_engines(answer: dict[str, object], expected: int) -> None:
    client = SimpleNamespace(api=SimpleNamespace(df=lambda: answer))
    assert disk_usage(client) == expected  # type: ignore[arg-type]  # all that is asked of the client


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
