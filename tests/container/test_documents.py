"""The examples in the documents that need containers; the rules are those of `tests/process/test_documents.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.matrix.engines.docker import DockerEngine
from tests import documents

pytestmark = pytest.mark.container


@pytest.fixture
def images_are_removed(docker_engine: DockerEngine) -> Iterator[None]:
    """Remove the images of projects that a test adds; the plain ones stay for the next."""
    api = docker_engine.client.api
    before = {image["Id"] for image in api.images()}
    yield
    for image in api.images():
        if image["Id"] not in before and any("forkbench-project:" in tag for tag in image["RepoTags"] or ()):
            api.remove_image(image["Id"], force=True)


@pytest.mark.usefixtures("images_are_removed")
@pytest.mark.parametrize("page", documents.pages_with("container"), ids=lambda page: page.name)
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    documents.run_page(page, tmp_path, "container")
