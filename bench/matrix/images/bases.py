"""Where the image of a Python starts from: the engine, a registry, or this host's own interpreter."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from bench.cells import Python
from bench.errors import Unavailable
from bench.matrix.discovery import Interpreter, find
from bench.matrix.images import packing
from bench.matrix.images.engine import LABEL, Store, engine_errors, one_line
from bench.matrix.images.waiting import bounded

if TYPE_CHECKING:
    from docker import DockerClient

Origin: TypeAlias = Literal["engine", "registry", "host"]
Progress: TypeAlias = Callable[[str], None]

PACKED = "forkbench-base"
REGISTRY_TIMEOUT_S = 15.0
"""How long a registry may take to answer whether it has an image; the download itself may take longer."""


@dataclass(frozen=True)
class Base:
    """An image that the engine has and that images of the bench are built from."""

    reference: str
    image_id: str
    origin: Origin


class Registry:
    """The registry behind an engine. Once it cannot be reached, it is not asked again."""

    def __init__(self, timeout_s: float = REGISTRY_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._unreachable: str | None = None

    def check(self, client: DockerClient, reference: str) -> None:
        """Ask whether the registry has an image, without downloading it.

        Raises:
            Unavailable: if the registry does not have it, cannot be reached or takes too long.
        """
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        with self._lock:
            if self._unreachable is None:
                try:
                    bounded(lambda: client.images.get_registry_data(reference), self._timeout_s)
                except (DockerException, RequestException, TimeoutError) as error:
                    if isinstance(error, APIError) and error.is_client_error():
                        # The registry answered: this image is wrong, another one may be available.
                        raise Unavailable(f"the registry has no {reference} ({one_line(error)})") from error
                    self._unreachable = one_line(error)
            if self._unreachable is not None:
                raise Unavailable(f"no registry can be reached ({self._unreachable})")

    def pull(self, client: DockerClient, reference: str) -> None:
        """Download an image into the engine.

        Raises:
            Unavailable: as `check` does, or if the download fails.
        """
        self.check(client, reference)
        repository, _, tag = reference.rpartition(":")
        with engine_errors(f"pulling {reference}"):
            for event in client.api.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise Unavailable(f"pulling {reference}: {event['error']}")


REGISTRY = Registry()
"""The registry as this process knows it."""


Names: TypeAlias = Mapping[str, str]
"""Images that a project names for Pythons (`[tool.bench.images]`), by the names of these."""

NO_NAMES: Names = MappingProxyType({})


def reference_of(python: Python, names: Names) -> str:
    """Return the image that a Python starts from: the one that the project names, else the official one."""
    return names.get(str(python), python.image)


def known_base(store: Store, python: Python, names: Names = NO_NAMES) -> Base | None:
    """Return a base among the engine's images: the named or official one, or this host's interpreter, packed before."""
    reference = reference_of(python, names)
    if (found := store.tagged(reference)) is not None:
        return Base(reference, found.id, "engine")
    if str(python) in names:
        return None  # another image than the one that was named is never taken
    packed = store.labelled(python=str(python), image="base")
    interpreter = find(python) if packed else None
    if interpreter is None:
        return None
    stamp = packing.stamp(interpreter)
    same = [image for image in packed if image.labels.get("org.forkbench.stamp") == stamp and image.tags]
    return Base(same[0].tags[0], same[0].id, "host") if same else None


def make_base(
    client: DockerClient, python: Python, registry: Registry, progress: Progress, names: Names = NO_NAMES
) -> Base:
    """Put a base into the engine that it does not have yet: from the registry, else packed from this host.

    Raises:
        Unavailable: if neither has this Python; the message has the reason of each.
    """
    reference = reference_of(python, names)
    try:
        registry.pull(client, reference)
    except Unavailable as why:
        interpreter = host_interpreter(python, str(why), names)
        progress(f"{python}: packing {interpreter.path} ({interpreter.version}) as a base")
        return pack(client, python, interpreter)
    with engine_errors(reference):
        return Base(reference, str(client.images.get(reference).id), "registry")


def host_interpreter(python: Python, no_registry: str, names: Names = NO_NAMES) -> Interpreter:
    """Return the interpreter to pack.

    Args:
        python: which Python.
        no_registry: why the image cannot be pulled, for the message.
        names: the images that the project names; nothing is packed in place of one.

    Raises:
        Unavailable: if this host has none, or none that can be packed.
    """
    reference = reference_of(python, names)
    if str(python) in names or python.variant:
        hint = "" if str(python) in names else ", or name another for it in [tool.bench.images]"
        raise Unavailable(f"{reference} is not in the engine, and {no_registry}; pull or load the image{hint}")
    interpreter = find(python)
    if interpreter is None and python.free_threaded:
        raise Unavailable(
            f"there is no official image of free-threaded builds, and this host has no {python} to pack; install it, "
            f"or name an image for it in [tool.bench.images]"
        )
    if interpreter is None:
        raise Unavailable(
            f"{python.image} is not in the engine, {no_registry}, and this host has no {python} to pack; "
            f"pull or load the image, or install Python {python}"
        )
    packing.refuse_unpackable(python)
    return interpreter


def pack(client: DockerClient, python: Python, interpreter: Interpreter) -> Base:
    """Put this host's interpreter into the engine as an image, named by its content.

    Raises:
        Unavailable: if it cannot be packed, or the engine refuses it.
    """
    stamp = packing.stamp(interpreter)
    entries = packing.entries_of(python, interpreter)
    tag = f"{python}-{packing.digest_of(entries)}"
    labels = {LABEL: "base", "org.forkbench.python": str(python), "org.forkbench.stamp": stamp}
    changes = [f"ENV {name}={value}" for name, value in packing.ENVIRONMENT.items()]
    changes += [f"LABEL {name}={value}" for name, value in labels.items()] + ['CMD ["python3"]']
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive, engine_errors(f"importing {PACKED}:{tag}"):
        packing.write_tar(entries, archive)
        archive.flush()
        # By the file's name, since only then does the client wait for as long as the engine needs.
        client.api.import_image(archive.name, repository=PACKED, tag=tag, changes=changes)
        return Base(f"{PACKED}:{tag}", str(client.images.get(f"{PACKED}:{tag}").id), "host")
