"""How an image is made, as data: a few steps, each named by a digest of everything that determines its result."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.cells import Python
from bench.errors import UsageError
from bench.matrix.images.bases import Base
from bench.matrix.images.context import Context, Project, bench_files, dockerfile
from bench.matrix.images.pip_settings import IN_BUILD, PipSettings
from bench.matrix.install import Install, make

TOOLCHAIN = "forkbench-toolchain"
SITE = "forkbench-site"
PLAIN = "forkbench"
BUILD = "forkbench-build"
WITH_PROJECT = "forkbench-project"

LABELS = "org.forkbench"
"""What the labels begin with: `.project` names the project that an image was made for, `.from` what it was made of."""

_SITE_FOLDER = "/opt/forkbench/site"
_PIP = ". ./pip.env && export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore"
_WHEELS = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"{IN_BUILD}/wheels"}

_TOOLCHAIN_LINES = r"""
ARG BASE
FROM ${BASE}
LABEL org.forkbench.image=toolchain
USER 0:0
# An index that has expired, as those of old releases and of snapshots have, is signed all the same.
RUN headers="$(python3 -c 'import os, sysconfig; print(os.path.join(sysconfig.get_path("include"), "Python.h"))')"; \
    if command -v cc > /dev/null && [ -e "$headers" ]; then exit 0; fi; \
    if command -v apk > /dev/null; then exec apk add --no-cache gcc g++ musl-dev make; fi; \
    if ! command -v apt-get > /dev/null; then echo "E: neither a compiler nor apt-get is in this image"; exit 1; fi; \
    wanted="gcc g++ libc6-dev make"; \
    [ -e "$headers" ] || wanted="$wanted $(basename "$(dirname "$headers")")-dev"; \
    (apt-get update -qq || apt-get update -qq -o Acquire::Check-Valid-Until=false) \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted \
    && rm -rf /var/lib/apt/lists/*
"""

_BUILD_LINES = """\
ARG BASE
ARG BUILDER=${{BASE}}
FROM ${{BUILDER}} AS tools
ARG BUILD=plain
LABEL org.forkbench.image=tools org.forkbench.build=${{BUILD}}
USER 0:0
COPY docker/ {build}/
RUN mkdir -p /opt/forkbench/build && cd {build} && {pip} \\
 && if [ -s requirements.txt ]; then \\
    python3 -m pip install --quiet --target /opt/forkbench/build -r requirements.txt; fi
FROM ${{BUILDER}}
LABEL org.forkbench.image=build
COPY --from=tools /opt/forkbench/build /opt/forkbench/build
"""

_PROJECT_LINES = """\
FROM {image}
USER 0:0
COPY project /project
RUN python3 -m compileall -q /project || true
WORKDIR /project
USER 1000:1000
"""

_BUILT_LINES = """\
FROM {builder} AS tools
ARG BUILD=plain
LABEL org.forkbench.image=tools org.forkbench.build=${{BUILD}}
USER 0:0
COPY --from={image} {site} {site}
COPY docker/ {build}/
COPY project /src
RUN mkdir -p /made && cp {build}/make.py /made && if [ -d {build}/wheel ]; then cp -R {build}/wheel /made/wheel; fi \\
 && cd {build} && {pip} {variables} \\
 && python3 /made/make.py wheel /src /made /opt/forkbench/build \\
 && python3 /made/make.py install /made {site} {extras}
FROM {image}
USER 0:0
COPY project /project
COPY --from=tools /made /made
RUN python3 /made/make.py overlay /made /project && python3 /made/make.py put /made {site} /usr/local/bin \\
 && rm -rf /made && (python3 -m compileall -q /project {site} || true)
WORKDIR /project
USER 1000:1000
"""

_COMMAND_LINES = """\
FROM {builder} AS tools
ARG BUILD=plain
LABEL org.forkbench.image=tools org.forkbench.build=${{BUILD}}
USER 0:0
COPY --from={image} {site} {site}
COPY docker/ {build}/
COPY project /project
RUN cd {build} && {pip} PIP_TARGET={site} PIP_UPGRADE=1 {variables} \\
 && export PYTHONPATH={site}:/opt/forkbench/build PATH="{site}/bin:/opt/forkbench/build/bin:$PATH" \\
 && mkdir -p /made/site && cp make.py /made && cd /project && sh {build}/install.sh
FROM {image}
USER 0:0
COPY --from=tools /project /project
COPY --from=tools {site} {site}
COPY --from=tools /made /made
RUN python3 /made/make.py put /made {site} /usr/local/bin \\
 && rm -rf /made && (python3 -m compileall -q /project {site} || true)
WORKDIR /project
USER 1000:1000
"""


@dataclass(frozen=True)
class Step:
    """One image to build: its tag, the Dockerfile and the other files; `pip` is set where the build runs pip.

    `builder` is the image that pip runs in where it is another one than the base, `labels` are those of the image.
    """

    tag: str
    dockerfile: str
    context: Context
    target: str | None = None
    pip: bool = False
    builder: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    wheel: bool = False


@dataclass(frozen=True)
class Recipe:
    """The steps to the image of one Python, each built from the ones before; cells run in the last.

    `toolchain` is an image with a compiler, for requirements that turn out to need one; `None` where it is a step
    already, or the base has no distribution to take a compiler from.
    """

    python: Python
    base: Base
    steps: tuple[Step, ...]
    toolchain: Step | None = None

    @property
    def tag(self) -> str:
        """The name of the image that cells run in."""
        return self.steps[-1].tag

    @property
    def stable_tag(self) -> str | None:
        """The name of the newest plain image of this Python; `None` for a project's image."""
        return None if self.tag.startswith(WITH_PROJECT) else f"{PLAIN}:{self.python.tag}"


class Ingredients:
    """The parts that the images of all Pythons share, read once: Dockerfile, the bench's files, the project's files."""

    def __init__(self, project: Project | None) -> None:
        """Read the files.

        Raises:
            UsageError: if a file of the project cannot be read.
        """
        self.site_part, self.bench_part = split_dockerfile(dockerfile())
        self.bench = Context().add("bench", bench_files())
        self.install = project.install if project else Install()
        self.root = project.root if project else None
        self.site, self.project, self.wheels = Context(), Context(), Context()
        self.content: dict[str, bytes | str] = {}
        self._key = project.key if project else ""
        if project is not None:
            self.content = project.content()
            self.project.add("project", self.content, project.root)
            if self.install.needs_files:
                self.site.add("docker/project", self.content, project.root)
        if self.install.wheels is not None:
            self.wheels.add("docker/wheels", read_wheels(self.install.wheels))
        self.site.files["docker/requirements.txt"] = _requirements(self.install.requirements)

    def recipe(self, python: Python, base: Base) -> Recipe:
        """Return how the image of one Python is made from its base."""
        toolchain = None
        if base.origin != "host":
            digest = Context().digest(_TOOLCHAIN_LINES, base.image_id)
            toolchain = Step(f"{TOOLCHAIN}:{python.tag}-{digest}", _TOOLCHAIN_LINES.lstrip(), Context())
        wheels = self.wheels.digest() if self.wheels.files else ""
        site_digest = self.site.digest(self.site_part, base.image_id, str(python), *([wheels] if wheels else []))
        own = {f"{LABELS}.for": "project"} if self.install.requirements else {}
        site = Step(
            f"{SITE}:{python.tag}-{site_digest}", self.site_part, self.site, target="site", pip=True, labels=own
        )
        plain_digest = self.bench.digest(self.bench_part, site.tag)
        plain_text = self.bench_part.replace("FROM site\n", f"FROM {site.tag}\n")
        plain = Step(f"{PLAIN}:{python.tag}-{plain_digest}", plain_text, self.bench, labels=own)
        if not self.project.files:
            return Recipe(python, base, (site, plain), toolchain)
        steps = [site, plain]
        if self.install.builds:
            native = toolchain if self.install.native else None
            steps = [*([native] if native else []), site, plain, self._build_step(python, base, native, wheels)]
            steps.append(self._built_step(python, base, steps))
            toolchain = None if native else toolchain
        else:
            digest = self.project.digest(_PROJECT_LINES, plain.tag)
            text = _PROJECT_LINES.format(image=plain.tag)
            tag = f"{WITH_PROJECT}:{python.tag}-{digest}"
            steps.append(Step(tag, text, self.project, labels=self._labels(python, steps)))
        return Recipe(python, base, tuple(steps), toolchain)

    def _labels(self, python: Python, steps: list[Step]) -> dict[str, str]:
        return {
            f"{LABELS}.project": self._key,
            f"{LABELS}.python": str(python),
            f"{LABELS}.from": " ".join(step.tag for step in steps),
        }

    def _build_step(self, python: Python, base: Base, native: Step | None, wheels: str) -> Step:
        """Return the step to the image that the project is built in: what its build requires, a compiler if need be."""
        text = _BUILD_LINES.format(build=IN_BUILD, pip=_PIP)
        context = Context({"docker/requirements.txt": _requirements(self.install.build)})
        builder = native.tag if native else base.image_id
        digest = context.digest(text, builder, wheels)
        return Step(
            f"{BUILD}:{python.tag}-{digest}",
            text,
            context,
            pip=True,
            builder=native.tag if native else None,
            labels={f"{LABELS}.for": "project"},
        )

    def _built_step(self, python: Python, base: Base, steps: list[Step]) -> Step:
        """Return the step that installs the project: the only one that its source code is part of."""
        install = self.install
        text = (_COMMAND_LINES if install.command else _BUILT_LINES).format(
            builder=steps[-1].tag,
            image=steps[-2].tag,
            build=IN_BUILD,
            site=_SITE_FOLDER,
            pip=_PIP,
            variables=" ".join(f"{name}={shlex.quote(value)}" for name, value in install.variables),
            extras=shlex.quote(",".join(install.extras)),
        )
        context = Context(dict(self.project.files), dict(self.project.modes))
        context.files["docker/make.py"] = Path(make.__file__).read_bytes()
        if install.command:
            context.files["docker/install.sh"] = f"{install.command}\n".encode()
        tag = f"{WITH_PROJECT}:{python.tag}-{context.digest(text)}"
        from_host = bool(install.native and not install.command and base.origin == "host")
        return Step(tag, text, context, pip=True, labels=self._labels(python, steps), wheel=from_host)


def _requirements(lines: tuple[str, ...]) -> bytes:
    return "".join(f"{install_line(line)}\n" for line in lines).encode()


def read_wheels(folder: Path) -> dict[str, bytes | str]:
    """Read what pip can install from a folder.

    Raises:
        UsageError: if the folder, or a file in it, cannot be read.
    """
    try:
        return {one.name: one.read_bytes() for one in sorted(folder.iterdir()) if one.is_file()}
    except OSError as error:
        raise UsageError(f"`wheels` in [tool.bench]: {error.filename}: {error.strerror}") from None


def split_dockerfile(text: str) -> tuple[str, str]:
    """Return the two parts of the Dockerfile, cut before its last `FROM site`: the first runs pip, the second does not.

    A change of the bench alone so repeats no download.
    """
    before, found, after = text.rpartition("\nFROM site\n")
    if not found:
        raise ValueError("docker/Dockerfile has no stage that is FROM site")
    return before + "\n", "FROM site\n" + after


def install_line(line: str) -> str:
    """Return a requirement for pip in a build, where paths are those of the project's copy.

    Raises:
        UsageError: if it is a path outside the project.
    """
    if constraints := re.match(r"-c (\S+)", line):
        return f"-c {IN_BUILD}/project/{constraints[1]}"
    path = re.sub(r"^(-e|--editable)\s+", "", line)
    if not path.startswith("."):
        return line
    if ".." in re.split(r"[/\[]", path):
        raise UsageError(f"requirement {line!r}: only the project itself and what is below it can be installed")
    return f"{IN_BUILD}/project{path[1:]}"


def site_files(settings: PipSettings, *, wheels: Context | None = None) -> Context:
    """Return the host's pip settings as files for the stage that runs pip; they are no part of any digest.

    Args:
        settings: those of the host.
        wheels: the files of a folder of wheels, which pip then takes everything from.
    """
    files = dict(settings.files())
    context = Context()
    if wheels is not None and wheels.files:
        files["pip.env"] = files.get("pip.env", b"") + b"".join(
            f"export {name}={shlex.quote(value)}\n".encode() for name, value in _WHEELS.items()
        )
        context = Context(dict(wheels.files))
    return context.add("docker", files)
