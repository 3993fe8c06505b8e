from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bench.cells import parse_python
from bench.errors import UsageError
from bench.matrix.engines.venvs import _STARTUP
from bench.matrix.images.bases import Base
from bench.matrix.images.context import HOST_ONLY, PACKAGED, Context, Project, bench_files, dockerfile
from bench.matrix.images.pip_settings import IN_BUILD
from bench.matrix.images.recipe import Ingredients, install_line, split_dockerfile
from tests.fixtures.checkout import ROOT, toml

PY314 = parse_python("3.14")
BASE = Base("python:3.14-slim", "sha256:1", "engine")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("src/pkg/__init__.py", "tests/test_a.py", "tests/__pycache__/x.pyc", ".venv/lib/y.py", "notes.log"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "link").symlink_to("src/pkg")
    return tmp_path


def names(project: Project) -> list[str]:
    return [str(path) for path in project.files()]


def test_without_git_everything_is_taken_but_what_never_belongs_to_a_project(root: Path) -> None:
    assert names(Project(root)) == ["link", "notes.log", "run.sh", "src/pkg/__init__.py", "tests/test_a.py"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_git_ignores_stays_out_and_untracked_files_come_along(root: Path) -> None:
    (root / ".gitignore").write_text("*.log\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)

    assert names(Project(root)) == [".gitignore", "link", "run.sh", "src/pkg/__init__.py", "tests/test_a.py"]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (("src",), ["src/pkg/__init__.py"]),
        (("./src/", "run.sh"), ["run.sh", "src/pkg/__init__.py"]),
        (("tests/*.py",), ["tests/test_a.py"]),
        ((".",), ["link", "notes.log", "run.sh", "src/pkg/__init__.py", "tests/test_a.py"]),
    ],
)
def test_patterns_narrow_a_project(root: Path, include: tuple[str, ...], expected: list[str]) -> None:
    assert names(Project(root, include)) == expected


def test_what_is_excluded_stays_out_even_where_it_is_included(root: Path) -> None:
    assert names(Project(root, exclude=("tests", "*.log"))) == ["link", "run.sh", "src/pkg/__init__.py"]
    assert names(Project(root, ("src", "tests"), exclude=("tests/*",))) == ["src/pkg/__init__.py"]


def test_a_project_with_nothing_in_it_or_no_folder_is_the_users_mistake(root: Path) -> None:
    with pytest.raises(UsageError, match="no file to copy"):
        Project(root, ("nothing",)).files()
    with pytest.raises(UsageError, match="no folder"):
        Project(root / "nowhere").files()


def test_the_archive_is_roots_of_one_time_and_keeps_links_and_the_executable_bit(root: Path) -> None:
    context = Context().add("project", Project(root).content(), root)

    with tarfile.open(fileobj=context.tar()) as archive:
        members = {member.name: member for member in archive.getmembers()}

    assert members["project/run.sh"].mode == 0o755
    assert members["project/notes.log"].mode == 0o644
    assert members["project/link"].linkname == "src/pkg"
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 1_577_836_800)}


def test_a_digest_changes_with_content_name_mode_and_whatever_else_decides() -> None:
    plain = Context({"a": b"1"})
    others = [Context({"a": b"2"}), Context({"b": b"1"}), Context({"a": "1"}), Context({"a": b"1"}, {"a": 0o755})]

    digests = {plain.digest("x"), plain.digest("y"), *(other.digest("x") for other in others)}

    assert len(digests) == 6
    assert plain.digest("x") == Context({"a": b"1"}).digest("x")


def test_touching_a_file_changes_no_name(root: Path) -> None:
    before = Ingredients(Project(root)).recipe(PY314, BASE).tag
    (root / "notes.log").touch()
    assert Ingredients(Project(root)).recipe(PY314, BASE).tag == before


def test_a_change_renames_only_the_images_that_it_is_in(root: Path) -> None:
    first = Ingredients(Project(root)).recipe(PY314, BASE)
    (root / "notes.log").write_text("changed")
    second = Ingredients(Project(root)).recipe(PY314, BASE)

    assert [step.tag for step in first.steps[:2]] == [step.tag for step in second.steps[:2]]
    assert first.tag != second.tag


def test_images_are_named_by_python_and_base_and_only_plain_ones_have_a_stable_name(root: Path) -> None:
    plain = Ingredients(None).recipe(PY314, BASE)
    other_base = Ingredients(None).recipe(PY314, Base("python:3.14-slim", "sha256:2", "engine"))

    assert plain.tag.startswith("forkbench:py314-")
    assert plain.stable_tag == "forkbench:py314"
    assert plain.tag != other_base.tag
    project = Ingredients(Project(root)).recipe(PY314, BASE)
    assert project.tag.startswith("forkbench-project:py314-")
    assert project.stable_tag is None


def test_requirements_files_are_read_and_rename_the_image_that_pip_fills(root: Path) -> None:
    (root / "extra.txt").write_text("# tools\nattrs>=22\n\n-r more.txt\n")
    (root / "more.txt").write_text("six\n")
    project = Project(root, requirements=("hypothesis", "-r extra.txt"))

    ingredients = Ingredients(project)

    assert ingredients.site.files["docker/requirements.txt"] == b"hypothesis\nattrs>=22\nsix\n"
    plain, with_them = (each.recipe(PY314, BASE).steps[0].tag for each in (Ingredients(None), ingredients))
    assert plain != with_them


def test_a_requirements_file_that_is_missing_is_the_users_mistake(root: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.txt"):
        Ingredients(Project(root, requirements=("-r none.txt",)))


def test_only_a_project_that_installs_itself_is_given_to_pip(root: Path) -> None:
    assert not any("project" in name for name in Ingredients(Project(root)).site.files)
    itself = Ingredients(Project(root, requirements=(".[test]",)))
    assert "docker/project/src/pkg/__init__.py" in itself.site.files


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("attrs>=22", "attrs>=22"),
        (".", f"{IN_BUILD}/project"),
        ("-e .[test]", f"{IN_BUILD}/project[test]"),
        ("./libs/x", f"{IN_BUILD}/project/libs/x"),
    ],
)
def test_paths_of_requirements_become_those_of_the_copy(line: str, expected: str) -> None:
    assert install_line(line) == expected


def test_a_requirement_outside_the_project_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match=r"\.\./other"):
        install_line("../other")


def test_the_bench_goes_in_without_the_parts_that_only_a_host_needs() -> None:
    files = bench_files()

    assert "__init__.py" in files
    assert "process/startup.py" in files
    assert not any(name.split("/")[0].removesuffix(".py") in HOST_ONLY for name in files)
    assert not any("__pycache__" in name for name in files)


def test_a_build_from_the_checkout_leaves_out_the_same_parts() -> None:
    lines = Path(".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"bench/{part}*" for part in HOST_ONLY} <= set(lines)


def test_the_wheel_has_the_dockerfile_where_it_is_looked_for() -> None:
    included = toml("pyproject.toml")["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert Path(included["docker/Dockerfile"]) == PACKAGED.relative_to(ROOT)


def test_the_dockerfile_is_cut_where_the_bench_comes_in() -> None:
    site, rest = split_dockerfile(dockerfile())

    assert "COPY bench" not in site
    assert "pip install" not in rest
    assert rest.startswith("FROM site\n")


def test_the_start_up_file_of_an_image_is_that_of_an_environment() -> None:
    assert _STARTUP.strip() in dockerfile()
