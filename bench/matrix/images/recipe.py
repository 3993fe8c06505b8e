"""How an image is made, as data: up to three steps, each named by a digest of everything that determines its result."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.cells import Python
from bench.errors import UsageError
from bench.matrix.images.bases import Base
from bench.matrix.images.context import Context, Project, bench_files, dockerfile
from bench.matrix.images.pip_settings import IN_BUILD, PipSettings

SITE = "forkbench-site"
PLAIN = "forkbench"
WITH_PROJECT = "forkbench-project"

_PROJECT_LINES = """\
FROM {image}
USER 0:0
COPY project /project
RUN python3 -m compileall -q /project || true
WORKDIR /project
USER 1000:1000
"""


@dataclass(frozen=True)
class Step:
    """One image to build: its tag, the Dockerfile and the other files; `pip` is set where the build runs pip."""

    tag: str
    dockerfile: str
    context: Context
    target: str | None = None
    pip: bool = False


@dataclass(frozen=True)
class Recipe:
    """The steps to the image of one Python, each built from the one before; cells run in the last."""

    python: Python
    base: Base
    steps: tuple[Step, ...]

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
        self.requirements = project.requirement_lines() if project else []
        self.site, self.project = Context(), Context()
        if project is not None:
            content = project.content()
            self.project.add("project", content, project.root)
            if project.installs_itself:
                self.site.add("docker/project", content, project.root)
        lines = [install_line(line) for line in self.requirements]
        self.site.files["docker/requirements.txt"] = "".join(f"{line}\n" for line in lines).encode()

    def recipe(self, python: Python, base: Base) -> Recipe:
        """Return how the image of one Python is made from its base."""
        site_digest = self.site.digest(self.site_part, base.image_id, str(python))
        site = Step(f"{SITE}:{python.tag}-{site_digest}", self.site_part, self.site, target="site", pip=True)
        plain_digest = self.bench.digest(self.bench_part, site.tag)
        plain_text = self.bench_part.replace("FROM site\n", f"FROM {site.tag}\n")
        plain = Step(f"{PLAIN}:{python.tag}-{plain_digest}", plain_text, self.bench)
        if not self.project.files:
            return Recipe(python, base, (site, plain))
        digest = self.project.digest(_PROJECT_LINES, plain.tag)
        text = _PROJECT_LINES.format(image=plain.tag)
        return Recipe(python, base, (site, plain, Step(f"{WITH_PROJECT}:{python.tag}-{digest}", text, self.project)))


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
    path = re.sub(r"^(-e|--editable)\s+", "", line)
    if not path.startswith("."):
        return line
    if ".." in re.split(r"[/\[]", path):
        raise UsageError(f"requirement {line!r}: only the project itself and what is below it can be installed")
    return f"{IN_BUILD}/project{path[1:]}"


def site_files(settings: PipSettings) -> Context:
    """Return the host's pip settings as files for the stage that runs pip; they are no part of any digest."""
    return Context().add("docker", dict(settings.files()))
