"""The Docker engine's images at one moment, and its client's exceptions as the bench's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import Unavailable

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "org.forkbench.image"
"""The label of every image of the bench; no image without it is ever removed."""


@dataclass(frozen=True)
class Image:
    """An image of the engine: its id, its names, its labels and its size."""

    id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    size_bytes: int
    created_s: int


@dataclass(frozen=True)
class Store:
    """The engine's images at one moment."""

    images: tuple[Image, ...]

    def tagged(self, tag: str) -> Image | None:
        """Return the image of a tag; `None` if there is none."""
        return next((image for image in self.images if tag in image.tags), None)

    def labelled(self, **labels: str) -> list[Image]:
        """Return the images that carry these labels below `org.forkbench`, newest first."""
        wanted = {f"org.forkbench.{name}": value for name, value in labels.items()}
        found = [image for image in self.images if wanted.items() <= image.labels.items()]
        return sorted(found, key=lambda image: -image.created_s)


def look(client: DockerClient) -> Store:
    """Ask the engine for its images, in one request.

    Raises:
        Unavailable: if it does not answer.
    """
    with engine_errors("the Docker engine's images"):
        return Store(tuple(_image(row) for row in client.api.images()))


def disk_usage(client: DockerClient) -> int:
    """Return the bytes that the engine's images take up on its disk, each shared layer once.

    Raises:
        Unavailable: if it does not answer.
    """
    with engine_errors("the Docker engine's use of the disk"):
        found = client.api.df()
    # Newer engines answer with a table for images in place of the one number.
    return int(found.get("LayersSize") or (found.get("ImageUsage") or {}).get("TotalSize") or 0)


def _image(row: Mapping[str, Any]) -> Image:
    # Older engines answer `null` and `<none>:<none>` where newer ones answer empty lists.
    tags = tuple(tag for tag in row.get("RepoTags") or () if not tag.startswith("<none>"))
    return Image(row["Id"], tags, row.get("Labels") or {}, row.get("Size", 0), row.get("Created", 0))


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Raise `Unavailable` with one line in place of what the engine's client raises inside the block."""
    try:
        yield
    except client_errors() as error:
        raise Unavailable(f"{what}: {one_line(error)}") from error


def client_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of the engine's client, which is imported on first use."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    return (DockerException, RequestException)


def one_line(error: BaseException) -> str:
    """Return the message of an exception, or the engine's explanation of it, in one line and without passwords."""
    text = str(getattr(error, "explanation", None) or error) or type(error).__name__
    return without_secrets(" ".join(text.split()))


def without_secrets(text: str) -> str:
    """Return the text with the user and password of its URLs masked."""
    return re.sub(r"://[^/@\s]+@", "://****@", text)
