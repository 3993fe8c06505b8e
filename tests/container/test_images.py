"""Images for real: what is in them, what is not, and that nothing is built twice."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.cells import Python, parse_python
from bench.errors import Unavailable
from bench.matrix.discovery import find
from bench.matrix.engines.docker import DockerEngine
from bench.matrix.images import ImageReady, Project, list_images, prepare_images
from bench.matrix.images.bases import REGISTRY, known_base, pack
from bench.matrix.images.building import Builder
from bench.matrix.images.engine import look
from bench.matrix.images.pip_settings import PipSettings, host_settings
from bench.matrix.images.recipe import Ingredients
from bench.matrix.install import Install

pytestmark = pytest.mark.container

PY314 = parse_python("3.14")
SETUP = """
[project]
name = "counted"
version = "1.0"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
package-dir = {"" = "src"}
"""
STARTS = """
import ctypes, multiprocessing, sqlite3, ssl, subprocess, sys

def work(queue):
    queue.put(multiprocessing.get_start_method())

if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        child = context.Process(target=work, args=(queue,))
        child.start()
        print(queue.get(timeout=30), end=" ")
        child.join()
    print(subprocess.run("echo shell", shell=True, capture_output=True, text=True).stdout.strip(), end=" ")
    print("%d.%d" % sys.version_info[:2], sys.prefix)
"""
IMPORTS = """
import importlib, pkgutil, bench
hosts = ("bench.report.board", "bench.report.covered", "bench.__main__")
names = [found.name for found in pkgutil.walk_packages(bench.__path__, "bench.") if found.name not in hosts]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@dataclass
class Images:
    """An engine's images, and one-off containers of them as a cell's are."""

    client: Any

    def ready(self, python: Python, project: Project | None = None) -> tuple[ImageReady, list[str]]:
        said: list[str] = []
        image = prepare_images(self.client, [python], project, progress=said.append)[python]
        assert isinstance(image, ImageReady), image.why
        return image, said

    def output(self, image: str, *command: str, **environment: str) -> str:
        raw = self.client.containers.run(
            image,
            list(command),
            environment=environment,
            remove=True,
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": "exec"},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            user="1000:1000",
        )
        return str(raw.decode()).strip()


@pytest.fixture(scope="module")
def images(docker_engine: DockerEngine) -> Images:
    return Images(docker_engine.client)


@pytest.fixture(scope="module")
def plain(images: Images) -> ImageReady:
    return images.ready(PY314)[0]


def test_a_cell_has_pytest_and_the_bench_for_an_unprivileged_user(images: Images, plain: ImageReady) -> None:
    assert images.output(plain.tag, "python3", "-m", "pytest", "--version").startswith("pytest ")
    assert images.output(plain.tag, "pytest", "--version").startswith("pytest ")
    config = images.client.api.inspect_image(plain.image_id)["Config"]
    assert config["User"] == "1000:1000"
    assert not config["Entrypoint"]


def test_everything_of_the_bench_that_is_in_an_image_imports_there(images: Images, plain: ImageReady) -> None:
    assert int(images.output(plain.tag, "python3", "-c", IMPORTS)) > 20


def test_every_python_of_a_cell_takes_the_start_method_from_the_environment(images: Images, plain: ImageReady) -> None:
    ask = "import multiprocessing; print(multiprocessing.get_start_method())"
    for method in ("fork", "spawn", "forkserver"):
        assert images.output(plain.tag, "python3", "-c", ask, BENCH_START_METHOD=method) == method


def test_what_is_built_is_neither_built_nor_looked_for_again(images: Images, plain: ImageReady) -> None:
    began = time.perf_counter()
    again, said = images.ready(PY314)

    assert again == plain
    assert said == []
    assert time.perf_counter() - began < 2
    assert "forkbench:py314" in images.client.images.get(plain.image_id).tags
    row = list_images(images.client, [PY314])[0]
    assert (row.tag, row.image_id, row.base_origin) == (plain.tag, plain.image_id, plain.base_origin)


def test_a_python_of_this_host_runs_from_nothing_but_what_was_packed(images: Images) -> None:
    python = next((each for text in ("3.10", "3.11", "3.12", "3.13") if find(each := parse_python(text))), None)
    interpreter = find(python) if python else None
    if python is None or interpreter is None:
        pytest.skip("this host has no Python to pack")
    before = {image.id for image in look(images.client).images}
    base = pack(images.client, python, interpreter)
    try:
        run = (
            'python3 -c \'import os; open("/tmp/starts.py", "w").write(os.environ["STARTS"])\'; python3 /tmp/starts.py'
        )
        said = images.output(base.image_id, "sh", "-c", run, STARTS=STARTS)
        assert said == f"fork spawn forkserver shell {python.version} /usr/local"
        assert images.output(base.image_id, "pip", "--version").startswith("pip ")
        assert images.client.images.get(base.image_id).attrs["Size"] < 200e6
    finally:
        if base.image_id not in before:
            images.client.api.remove_image(base.reference)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pyproject.toml").write_text(SETUP)
    (tmp_path / "src" / "counted").mkdir(parents=True)
    (tmp_path / "src" / "counted" / "__init__.py").write_text("ANSWER = 42\n")
    # The second line is another one in each run, so that this build never comes from a cache.
    install = Install(
        project=True, build=("setuptools",), requirements=(f"iniconfig != 0.0.{uuid.uuid4().int % 10**9}",)
    )
    return Project(tmp_path, install=install)


@pytest.fixture
def built(images: Images, project: Project) -> Iterator[tuple[ImageReady, str]]:
    """An image with a project and its requirements, by a pip whose settings hold a secret; removed afterwards."""
    secret = f"secret-{uuid.uuid4().hex}"
    settings = host_settings()
    told = PipSettings(
        {**settings.options, "trusted-host": f"{secret}.invalid"},
        {**settings.proxies, "no_proxy": f"{secret}.invalid"},
        settings.bundle and settings.bundle + f"\n# {secret}\n".encode(),
    )
    base = known_base(look(images.client), PY314)
    if base is None:
        pytest.skip("the engine has no base for Python 3.14")
    ingredients = Ingredients(project)
    of_others = {step.tag for step in Ingredients(None).recipe(PY314, base).steps}
    try:
        # The secret is the builder's name too, so that the stage which it must not leave behind can be told by it.
        yield Builder(images.client, ingredients, told, lambda _: None, REGISTRY, secret).make(PY314, base), secret
    finally:
        for step in reversed(ingredients.recipe(PY314, base).steps):
            if step.tag not in of_others and look(images.client).tagged(step.tag):
                images.client.api.remove_image(step.tag, force=True)


def test_pip_installs_a_project_and_leaves_no_setting_behind(images: Images, built: tuple[ImageReady, str]) -> None:
    ready, secret = built
    ask = "import counted, os; print(counted.ANSWER, os.getcwd(), os.access('/project', os.W_OK))"
    assert images.output(ready.tag, "python3", "-c", ask) == "42 /project False"
    assert "pyproject.toml" in images.output(ready.tag, "ls", "/project")

    api = images.client.api
    assert secret not in json.dumps([api.inspect_image(ready.image_id), api.history(ready.image_id)])
    assert not look(images.client).labelled(build=f"{secret}-py314")
    container = images.client.containers.create(ready.tag)
    try:
        content = b"".join(container.export())
    finally:
        container.remove()
    assert secret.encode() not in content
    assert b"forkbench-build/" not in content.replace(b"/forkbench-build/project", b"")


def test_a_requirement_that_does_not_exist_is_refused_in_pips_words(images: Images, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    project = Project(tmp_path, install=Install(requirements=("iniconfig == 0.0.0",)))
    base = known_base(look(images.client), PY314)
    if base is None:
        pytest.skip("the engine has no base for Python 3.14")
    builder = Builder(images.client, Ingredients(project), host_settings(), lambda _: None, REGISTRY)
    with pytest.raises(Unavailable, match=r"building forkbench-site:.*ERROR: .*iniconfig"):
        builder.make(PY314, base)
    assert not look(images.client).labelled(build=f"{builder.name}-py314")
