"""Images that go by themselves: of each project and Python the newest two stay, with what they are made of."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from bench.matrix.images.bases import Progress
from bench.matrix.images.engine import Image, Store, look
from bench.matrix.images.waiting import is_held

if TYPE_CHECKING:
    from docker import DockerClient

KEPT = 2
"""How many images of a project and a Python stay."""

YOUNG_S = 3600.0
"""The age in seconds below which an image that nothing is made of may be part of a build that goes on."""

_PROJECT, _PYTHON, _FROM = "org.forkbench.project", "org.forkbench.python", "org.forkbench.from"


def remove_superseded(client: DockerClient, key: str, current: Collection[str], progress: Progress) -> None:
    """Remove the images of a project that newer ones took the place of, and what was made for them alone.

    Args:
        client: the connection to the engine.
        key: the project's.
        current: the names of its images of now; they stay.
        progress: called with a line if something was removed.
    """
    store = look(client)
    gone = [tag for tag in superseded(store, key, current) if not is_held(tag) and _removed(client, tag)]
    gone += [tag for tag in orphans(look(client), time.time()) if _removed(client, tag)]
    if gone:
        noun = "image" if len(gone) == 1 else "images"
        progress(f"removed {len(gone)} superseded {noun} of the project; the last {KEPT} of each Python stay")


def superseded(store: Store, key: str, current: Collection[str]) -> list[str]:
    """Return the names of a project's images beyond the newest of each Python; those of now are never among them."""
    groups: dict[str, list[Image]] = {}
    for image in store.labelled(project=key):
        groups.setdefault(image.labels.get(_PYTHON, ""), []).append(image)
    found = []
    for images in groups.values():
        ordered = sorted(images, key=lambda image: not set(image.tags) & set(current))
        found += [tag for image in ordered[KEPT:] for tag in image.tags if tag not in current]
    return found


def orphans(store: Store, now_s: float) -> list[str]:
    """Return the names of images made for projects that no project's image is made of any more."""
    used = set(_words(image.labels.get(_FROM, "") for image in store.images if _PROJECT in image.labels))
    made = [image for image in store.labelled(**{"for": "project"}) if image.created_s + YOUNG_S < now_s]
    return [tag for image in made if not used & set(image.tags) and _PROJECT not in image.labels for tag in image.tags]


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in text.split()]


def _removed(client: DockerClient, tag: str) -> bool:
    from docker.errors import APIError

    with contextlib.suppress(APIError):  # a container runs in it: it goes the next time
        client.api.remove_image(tag)
        return True
    return False
