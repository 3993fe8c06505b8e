"""Listing images, with their bases or why there is none, and removing stale ones."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.cells import Python
from bench.errors import Unavailable
from bench.matrix.images.bases import (
    NO_NAMES,
    REGISTRY,
    Names,
    Origin,
    Registry,
    host_interpreter,
    known_base,
    reference_of,
)
from bench.matrix.images.building import remove_stages
from bench.matrix.images.context import Project
from bench.matrix.images.engine import LABEL, Store, look
from bench.matrix.images.recipe import Ingredients

if TYPE_CHECKING:
    from docker import DockerClient


@dataclass(frozen=True)
class ImageRow:
    """A Python's image: `tag`, `image_id`, `size_bytes` if it is built; `base` if one is available, else `why` not."""

    python: Python
    base: str | None = None
    base_origin: Origin | None = None
    tag: str | None = None
    image_id: str | None = None
    size_bytes: int | None = None
    why: str | None = None


def list_images(
    client: DockerClient,
    pythons: Sequence[Python],
    project: Project | None = None,
    *,
    registry: Registry = REGISTRY,
    names: Names = NO_NAMES,
) -> list[ImageRow]:
    """Return for each Python the image that it has or would get. Nothing is built, downloaded or packed.

    Raises:
        Unavailable: if the engine does not answer.
    """
    store, ingredients = look(client), Ingredients(project)
    return [_row(client, store, ingredients, python, registry, names) for python in pythons]


def _row(
    client: DockerClient, store: Store, ingredients: Ingredients, python: Python, registry: Registry, names: Names
) -> ImageRow:
    base = known_base(store, python, names)
    if base is None:
        return _future_base(client, python, registry, names)
    tag = ingredients.recipe(python, base).tag
    image = store.tagged(tag)
    if image is None:
        return ImageRow(python, base.reference, base.origin)
    return ImageRow(python, base.reference, base.origin, tag, image.id, image.size_bytes)


def _future_base(client: DockerClient, python: Python, registry: Registry, names: Names) -> ImageRow:
    reference = reference_of(python, names)
    try:
        registry.check(client, reference)
    except Unavailable as no_registry:
        try:
            interpreter = host_interpreter(python, str(no_registry), names)
        except Unavailable as why:
            return ImageRow(python, why=str(why))
        return ImageRow(python, str(interpreter.path), "host")
    return ImageRow(python, reference, "registry")


def remove_images(client: DockerClient, *, keep: Collection[Python] = (), project: Project | None = None) -> list[str]:
    """Remove images of the bench, recognised by their label alone, and return their names.

    Args:
        client: the connection to the engine.
        keep: Pythons whose present image stays, with the images that it is built from.
        project: the project whose images of these Pythons stay too.
    """
    from docker.errors import APIError

    store = look(client)
    kept = _present(store, keep, project)
    removed = []
    for image in (image for image in store.images if LABEL in image.labels):
        for name in [tag for tag in image.tags if tag not in kept]:
            try:
                client.api.remove_image(name)
            except APIError:
                continue  # a container runs in it: the next call removes it
            removed.append(name)
    remove_stages(client, now_s=time.time())
    return removed


def _present(store: Store, pythons: Collection[Python], project: Project | None) -> set[str]:
    kept: set[str] = set()
    for ingredients in [Ingredients(each) for each in {None, project}]:
        for python in pythons:
            base = known_base(store, python)
            if base is not None:
                recipe = ingredients.recipe(python, base)
                kept |= {base.reference, f"forkbench:{python.tag}", *(step.tag for step in recipe.steps)}
    return kept
