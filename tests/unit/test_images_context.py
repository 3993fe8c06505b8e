from __future__ import annotations

import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cells import parse_python
from bench.errors import UsageError
from bench.matrix.engines.venvs import _STARTUP
from bench.matrix.images.bases import Base
from bench.matrix.images.context import HOST_ONLY, PACKAGED, RECORDED, Context, Project, bench_files, dockerfile
from bench.matrix.images.pip_settings import IN_BUILD, PipSettings
from bench.matrix.images.recipe import Ingredients, Step, install_line, site_files, split_dockerfile
from bench.matrix.install import Install
from bench.matrix.run import sources
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


def test_what_lies_beside_a_run_is_what_a_run_writes() -> None:
    assert sources.FILE in RECORDED


@pytest.mark.parametrize("beside", RECORDED)
def test_the_records_of_a_run_are_no_part_of_a_project(beside: str, root: Path) -> None:
    (root / "out" / beside).mkdir(parents=True)
    (root / "out" / "run.json").write_text("{}")
    (root / "run.json").write_text("{}")
    assert names(Project(root)) == ["link", "notes.log", "run.json", "run.sh", "src/pkg/__init__.py", "tests/test_a.py"]


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


def test_requirements_rename_the_image_that_pip_fills(root: Path) -> None:
    (root / "more.txt").write_text("six\n")
    project = Project(root, install=Install(requirements=("hypothesis", "-c more.txt")))

    ingredients = Ingredients(project)

    limits = f"{IN_BUILD}/project/more.txt"
    assert ingredients.site.files["docker/requirements.txt"] == f"hypothesis\n-c {limits}\n".encode()
    assert ingredients.site.files["docker/project/more.txt"] == b"six\n"
    plain, with_them = (each.recipe(PY314, BASE).steps[0].tag for each in (Ingredients(None), ingredients))
    assert plain != with_them


BUILT = Install(project=True, build=("setuptools",), requirements=("six",), variables=(("SCM", "1 2"),))


def steps(project: Project, base: Base = BASE) -> dict[str, Step]:
    return {step.tag.partition(":")[0]: step for step in Ingredients(project).recipe(PY314, base).steps}


def test_a_change_of_a_projects_source_renames_the_last_image_alone(root: Path) -> None:
    before = steps(Project(root, install=BUILT))
    assert list(before) == ["forkbench-site", "forkbench", "forkbench-build", "forkbench-project"]
    (root / "src" / "pkg" / "__init__.py").write_text("changed")
    after = steps(Project(root, install=BUILT))
    assert [name for name in before if before[name].tag != after[name].tag] == ["forkbench-project"]
    assert "SCM='1 2'" in after["forkbench-project"].dockerfile
    made_of = after["forkbench-project"].labels["org.forkbench.from"].split()
    assert made_of == [after[name].tag for name in list(after)[:-1]]
    other = steps(Project(root, install=replace(BUILT, build=("hatchling",))))
    assert [name for name in after if after[name].tag != other[name].tag] == ["forkbench-build", "forkbench-project"]


def test_native_code_is_built_with_a_compiler_or_on_the_host_that_the_base_is_packed_from(root: Path) -> None:
    native = Project(root, install=replace(BUILT, native="src/a.c"))
    found = steps(native)
    assert next(iter(found)) == "forkbench-toolchain"
    assert found["forkbench-build"].builder == found["forkbench-toolchain"].tag
    assert not found["forkbench-project"].wheel
    packed = steps(native, Base("forkbench-base:3.14-1", "sha256:2", "host"))
    assert "forkbench-toolchain" not in packed
    assert packed["forkbench-project"].wheel


def test_wheels_take_the_place_of_an_index(root: Path) -> None:
    (root / "wheels").mkdir()
    (root / "wheels" / "six-1.whl").write_bytes(b"1")
    project = Project(root, install=Install(wheels=root / "wheels"), exclude=("wheels",))
    ingredients = Ingredients(project)
    files = site_files(PipSettings(), wheels=ingredients.wheels).files
    assert files["docker/wheels/six-1.whl"] == b"1"
    environment = files["docker/pip.env"]
    assert isinstance(environment, bytes)
    assert b"export PIP_NO_INDEX=1\n" in environment
    before = ingredients.recipe(PY314, BASE).tag
    (root / "wheels" / "six-1.whl").write_bytes(b"2")
    assert Ingredients(project).recipe(PY314, BASE).tag != before
    with pytest.raises(UsageError, match="nowhere"):
        Ingredients(Project(root, install=Install(wheels=root / "nowhere")))


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_folder_that_a_repository_ignores_is_walked_and_a_submodule_is_part_of_it(root: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always", "-C"]
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / ".gitignore").write_text("*\n")
    assert "src/pkg/__init__.py" in names(Project(root))

    (root / ".gitignore").unlink()
    other = root.parent / f"{root.name}-other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    (other / "inner.c").touch()
    subprocess.run([*git, str(other), "add", "."], check=True)
    subprocess.run([*git, str(other), "commit", "-q", "-m", "one"], check=True)
    subprocess.run([*git, str(root), "submodule", "--quiet", "add", str(other), "native"], check=True)
    assert "native/inner.c" in names(Project(root))


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
