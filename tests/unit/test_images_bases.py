from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import pytest
from docker.errors import APIError

from bench.cells import parse_python
from bench.errors import Unavailable
from bench.matrix.images.bases import Base, Registry, host_interpreter, known_base, make_base, reference_of
from bench.matrix.images.engine import Image, Store

if TYPE_CHECKING:
    import requests

    from docker import DockerClient

PYPY = parse_python("pypy3.11")
PY314 = parse_python("3.14")


class Response:
    """What the client's exceptions look at."""

    reason = "because"

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class Engine:
    """The one question that a registry is asked, answered by an error, or never; it counts."""

    def __init__(self, error: Exception | None) -> None:
        self.images = self
        self.asked: list[str] = []
        self.error = error

    def get_registry_data(self, name: str) -> None:
        self.asked.append(name)
        if self.error is None:
            threading.Event().wait(5)
        else:
            raise self.error


def client(error: Exception | None) -> tuple[Engine, DockerClient]:
    engine = Engine(error)
    return engine, cast("DockerClient", engine)


def error(status: int, text: str) -> APIError:
    return APIError("failed", response=cast("requests.Response", Response(status)), explanation=text)


def test_a_registry_that_cannot_be_reached_is_asked_once_per_process() -> None:
    engine, docker = client(error(500, 'Get "https://registry/v2/": no such host'))
    registry = Registry()

    for name in ("python:3.10-slim", "python:3.11-slim"):
        with pytest.raises(Unavailable, match=r"no registry can be reached \(Get .* no such host\)"):
            registry.pull(docker, name)

    assert engine.asked == ["python:3.10-slim"]


def test_a_registry_that_does_not_answer_is_given_up() -> None:
    _, docker = client(None)
    with pytest.raises(Unavailable, match=r"no answer in 0\.01 s"):
        Registry(timeout_s=0.01).check(docker, "python:3.10-slim")


def test_an_image_that_the_registry_lacks_does_not_stop_it_from_being_asked_again() -> None:
    engine, docker = client(error(404, "manifest unknown"))
    registry = Registry()

    for name in ("python:3.15-slim", "python:3.14-slim"):
        with pytest.raises(Unavailable, match=f"registry has no {name}"):
            registry.check(docker, name)

    assert engine.asked == ["python:3.15-slim", "python:3.14-slim"]


def test_what_cannot_be_had_is_refused_with_each_reason_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.matrix.images.bases.find", lambda _: None)
    _, docker = client(error(500, "no such host"))
    with pytest.raises(Unavailable) as caught:
        make_base(docker, PYPY, Registry(), lambda _: None)

    assert str(caught.value) == (
        "pypy:3.11-slim is not in the engine, no registry can be reached (no such host), and this host has no pypy3.11 "
        "to pack; pull or load the image, or install Python pypy3.11"
    )


def test_the_official_image_of_the_engine_comes_before_anything_packed() -> None:
    packed = Image("sha256:2", ("forkbench-base:3.14-x",), {"org.forkbench.image": "base"}, 1, 9)
    official = Image("sha256:1", ("python:3.14-slim",), {}, 1, 1)

    assert known_base(Store((packed, official)), PY314) == Base("python:3.14-slim", "sha256:1", "engine")
    assert known_base(Store(()), PY314) is None


@pytest.mark.parametrize(("stamp", "expected"), [("now", "forkbench-base:3.14-x"), ("before", None)])
def test_a_packed_interpreter_serves_until_the_host_has_another(
    monkeypatch: pytest.MonkeyPatch, stamp: str, expected: str | None
) -> None:
    monkeypatch.setattr("bench.matrix.images.bases.find", lambda _: object())
    monkeypatch.setattr("bench.matrix.images.packing.stamp", lambda _: "now")
    labels = {
        f"org.forkbench.{name}": value for name, value in {"image": "base", "python": "3.14", "stamp": stamp}.items()
    }

    found = known_base(Store((Image("sha256:2", ("forkbench-base:3.14-x",), labels, 1, 9),)), PY314)

    assert (found.reference if found else None) == expected


NAMES = {"3.14-ours": "registry.example/python:3.14", "3.14": "ours:1"}


def test_an_image_that_the_project_names_is_taken_and_no_other() -> None:
    ours, official = Image("sha256:7", ("ours:1",), {}, 1, 1), Image("sha256:1", ("python:3.14-slim",), {}, 1, 1)
    assert known_base(Store((official, ours)), PY314, NAMES) == Base("ours:1", "sha256:7", "engine")
    assert known_base(Store((official,)), PY314, NAMES) is None
    with pytest.raises(Unavailable, match=r"^ours:1 is not in the engine, and offline; pull or load the image$"):
        host_interpreter(PY314, "offline", NAMES)


def test_a_variant_is_an_image_and_never_packed() -> None:
    alpine = parse_python("3.14-alpine")
    assert reference_of(alpine, NAMES) == "python:3.14-alpine"
    assert reference_of(parse_python("py314-ours"), NAMES) == "registry.example/python:3.14"
    with pytest.raises(
        Unavailable, match=r"python:3\.14-alpine is not in the engine, and offline; .*tool\.bench\.images"
    ):
        host_interpreter(alpine, "offline")


def test_a_free_threaded_build_that_is_nowhere_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.matrix.images.bases.find", lambda python: None)
    with pytest.raises(Unavailable, match=r"no official image of free-threaded builds, and this host has no 3\.14t"):
        host_interpreter(parse_python("3.14t"), "offline")
