"""Images for Pythons: those that the engine has are used as they are, missing ones are built, a few side by side."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from bench.cells import Python
from bench.errors import BenchError, Unavailable
from bench.matrix.images.bases import (
    NO_NAMES,
    REGISTRY,
    Base,
    Names,
    Origin,
    Progress,
    Registry,
    known_base,
    make_base,
)
from bench.matrix.images.context import Project
from bench.matrix.images.engine import Store, engine_errors, look, one_line, without_secrets
from bench.matrix.images.host_wheel import host_wheel
from bench.matrix.images.pip_settings import PipSettings, host_settings
from bench.matrix.images.recipe import WITH_PROJECT, Ingredients, Recipe, Step, site_files
from bench.matrix.images.superseded import remove_superseded
from bench.matrix.images.waiting import hold, in_threads, locked
from bench.matrix.install.output import HINT, NO_COMPILER, NotInstalled, explanation, last_lines

if TYPE_CHECKING:
    from docker import DockerClient

BUILD_TIMEOUT_S = 1800
"""How long a build may be silent: compiling a dependency takes its time."""

ABANDONED_AFTER_S = 3600.0
"""The age in seconds from which a build's stage counts as left behind by a build that died."""

_NO_TOOLCHAIN = (
    "this base is packed from an interpreter of this host and has no compiler; put wheels into a folder and name it as "
    "`wheels` in [tool.bench], or pull the official image"
)


@dataclass(frozen=True)
class ImageReady:
    """The image that cells of a Python run in, and the base that it was built from."""

    python: Python
    image_id: str
    tag: str
    base: str
    base_origin: Origin


@dataclass(frozen=True)
class ImageRefused:
    """A Python for which there is no image, and why; `output` has the last lines of what failed."""

    python: Python
    why: str
    output: str = ""


Prepared: TypeAlias = Mapping[Python, "ImageReady | ImageRefused"]


def prepare_images(
    client: DockerClient,
    pythons: Sequence[Python],
    project: Project | None = None,
    *,
    progress: Progress,
    jobs: int = 2,
    stop: threading.Event | None = None,
    registry: Registry = REGISTRY,
    names: Names = NO_NAMES,
) -> Prepared:
    """Return the image of each Python, built where the engine does not have it yet.

    Args:
        client: the connection to the engine.
        pythons: which Pythons.
        project: the user's project, if its files belong in the images.
        progress: called with one line for each step that takes long, from several threads.
        jobs: how many images are made at once.
        stop: once set, the wait for images ends.
        registry: where bases are pulled from.
        names: the images that the project names for Pythons.

    Raises:
        Unavailable: if the engine does not answer.
        UsageError: if the project's files or pip's settings cannot be read.
        Interrupted: if `stop` was set.
    """
    store, ingredients = look(client), Ingredients(project)
    prepared: dict[Python, ImageReady | ImageRefused] = {}
    missing: dict[Python, Base | None] = {}
    for python in dict.fromkeys(pythons):
        base = known_base(store, python, names)
        ready = _already(client, store, ingredients.recipe(python, base)) if base else None
        if ready is None:
            missing[python] = base
        else:
            prepared[python] = ready
    if missing:
        builder = Builder(client, ingredients, host_settings(), progress, registry, names=names)
        tasks = {python: _task(builder, python, base) for python, base in missing.items()}
        prepared |= in_threads(tasks, jobs, stop)
    if project is not None:
        made = [image for image in prepared.values() if isinstance(image, ImageReady)]
        for image in made:
            hold(image.tag)
        if missing:
            remove_superseded(client, project.key, [image.tag for image in made], progress)
    return {python: prepared[python] for python in dict.fromkeys(pythons)}


def _already(client: DockerClient, store: Store, recipe: Recipe) -> ImageReady | None:
    image = store.tagged(recipe.tag)
    if image is None:
        return None
    if recipe.stable_tag is not None and recipe.stable_tag not in image.tags:
        _tag(client, image.id, recipe.stable_tag)
    return ImageReady(recipe.python, image.id, recipe.tag, recipe.base.reference, recipe.base.origin)


def _tag(client: DockerClient, image_id: str, tag: str) -> None:
    repository, _, name = tag.rpartition(":")
    with engine_errors(f"tagging {tag}"):
        client.api.tag(image_id, repository, name)


def _task(builder: Builder, python: Python, base: Base | None) -> Callable[[], ImageReady | ImageRefused]:
    def make() -> ImageReady | ImageRefused:
        try:
            return builder.make(python, base)
        except BenchError as why:
            return ImageRefused(python, str(why), getattr(why, "output", ""))
        except Exception as error:  # noqa: BLE001 - one Python's trouble must not take the others with it
            return ImageRefused(python, f"{type(error).__name__}: {one_line(error)}")

    return make


@dataclass(frozen=True)
class Builder:
    """Carries out recipes. Its settings may hold passwords: they reach the stage that runs pip and nothing else."""

    client: DockerClient
    ingredients: Ingredients
    settings: PipSettings
    progress: Progress
    registry: Registry
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    names: Names = field(default_factory=lambda: NO_NAMES)

    def make(self, python: Python, base: Base | None) -> ImageReady:
        """Make the image of one Python.

        Args:
            python: which Python.
            base: its base, `None` if the engine had none.

        Raises:
            Unavailable: if no base is available, or a build fails.
        """
        with locked(f"base-{python}"):
            base = base or known_base(look(self.client), python, self.names)
            base = base or make_base(self.client, python, self.registry, self.progress, self.names)
        recipe = self.ingredients.recipe(python, base)
        for step in recipe.steps:
            self._ensure(recipe, step)
        ready = _already(self.client, look(self.client), recipe)
        if ready is None:
            raise Unavailable(f"{python}: {recipe.tag} was removed while it was built; try again")
        return ready

    def _ensure(self, recipe: Recipe, step: Step) -> None:
        """Build a step that the engine does not have; where a requirement lacks a compiler, once more with one."""
        with locked(step.tag.replace(":", "-")):
            if look(self.client).tagged(step.tag) is not None:
                return
            self.progress(f"{recipe.python}: building {step.tag} from {recipe.base.reference}")
            try:
                self._build(recipe, step)
            except NotInstalled as error:
                if step.tag.startswith(f"{WITH_PROJECT}:"):
                    raise NotInstalled(f"{error}; {HINT}", error.output) from None
                if not NO_COMPILER.search(error.output) or not step.pip or step.builder:
                    raise
                if recipe.toolchain is None:
                    raise NotInstalled(f"{error}; {_NO_TOOLCHAIN}", error.output) from None
                self.progress(f"{recipe.python}: a requirement needs a compiler: adding one to {recipe.base.reference}")
                self._ensure(recipe, recipe.toolchain)
                self._build(recipe, replace(step, builder=recipe.toolchain.tag))

    def _build(self, recipe: Recipe, step: Step) -> None:
        nonce = f"{self.name}-{recipe.python.tag}"
        context = step.context
        if step.pip:
            # Joined only now, so that no digest and no other step ever sees the settings.
            settings = site_files(self.settings, wheels=self.ingredients.wheels)
            context = type(context)({**context.files, **settings.files}, context.modes)
        if step.wheel:
            name, content = host_wheel(recipe.python, self.ingredients)
            context = type(context)({**context.files, f"docker/wheel/{name}": content}, context.modes)
        context = type(context)({**context.files, "Dockerfile": step.dockerfile.encode()}, context.modes)
        arguments = {"BASE": recipe.base.reference}
        if step.pip:
            arguments |= {"BUILD": nonce, "BUILDER": step.builder or recipe.base.reference}
        host_network = step.pip and self.settings.needs_host_network
        try:
            with engine_errors(f"building {step.tag}"):
                events = self.client.api.build(
                    fileobj=context.tar(),
                    custom_context=True,
                    tag=step.tag,
                    target=step.target,
                    buildargs={name: text for name, text in arguments.items() if f"ARG {name}" in step.dockerfile},
                    labels=dict(step.labels),
                    network_mode="host" if host_network else None,
                    rm=True,
                    forcerm=True,
                    decode=True,
                    timeout=BUILD_TIMEOUT_S,
                )
                follow_build(step.tag, events)
        finally:
            if step.pip:
                remove_stages(self.client, nonce)


def follow_build(tag: str, events: Iterator[Mapping[str, object]]) -> None:
    """Read the output of a build until it ends.

    Raises:
        NotInstalled: if it failed; the message has the line that explains why, `output` the last ones.
    """
    output = ""
    for event in events:
        output += str(event.get("stream", ""))
        if "error" in event:
            raise NotInstalled(f"building {tag}: {build_failure(output, str(event['error']))}", last_lines(output))


def build_failure(output: str, error: str) -> str:
    """Return the line that explains a failed build: the first error that is reported, else the engine's message."""
    code = error.rpartition("returned a non-zero code: ")[2].strip()
    # The engine puts colours around standard error, and splits it at any character.
    reported = explanation(output)
    return f"{reported} (it ended with {code})" if reported else without_secrets(" ".join(error.split()))


def remove_stages(client: DockerClient, nonce: str | None = None, *, now_s: float | None = None) -> None:
    """Remove the stage that ran pip, which the engine keeps without a name: it may hold the host's settings.

    Args:
        client: the connection to the engine.
        nonce: the build's name; `None` means all builds that were abandoned.
        now_s: the time, in seconds since the epoch, by which a stage's age is measured where `nonce` is `None`.
    """
    for _ in range(5):
        stages = [image for image in look(client).labelled(image="tools") if not image.tags]
        if nonce is not None:
            mine = [image for image in stages if image.labels.get("org.forkbench.build") == nonce]
        else:
            mine = [image for image in stages if now_s is not None and image.created_s + ABANDONED_AFTER_S < now_s]
        for image in mine:
            with engine_errors("removing a stage"):
                client.api.remove_image(image.id, force=True)
        if not mine:
            return
