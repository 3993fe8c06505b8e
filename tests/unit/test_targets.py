from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.declared import program
from bench.errors import NothingToRun, UsageError
from bench.targets import declares_targets, find, place_of_file

ONE = '''
from bench import deterministic, program

@program(deterministic(1))
def one(mp):
    """Gives one,
    and nothing else.

    More about it.
    """
    return 1
'''


@pytest.fixture(autouse=True)
def imports_are_undone() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, name: str, text: str = ONE) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_is_found_by_path_and_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "mine_a.py")
    (found,) = find([str(path)])
    assert (found.program.target, found.program.summary) == ("mine_a:one", "Gives one, and nothing else.")
    assert found == find([f"{path}::one"])[0]


def test_a_module_of_a_package_is_named_from_the_first_folder_that_is_none(tmp_path: Path) -> None:
    write(tmp_path, "pkg_a/__init__.py", "")
    path = write(tmp_path, "pkg_a/sub/__init__.py", "").with_name("mod.py")
    path.write_text(ONE)
    place = place_of_file(path)
    assert (place.root, place.module) == (str(tmp_path), "pkg_a.sub.mod")
    assert find([str(path)])[0].program.target == "pkg_a.sub.mod:one"


def test_a_package_stands_for_the_targets_of_all_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "pkg_b/__init__.py", "")
    write(tmp_path, "pkg_b/x.py")
    write(tmp_path, "pkg_b/y.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [one.program.target for one in find(["pkg_b"])] == ["pkg_b.x:one", "pkg_b.y:one"]
    assert [one.program.target for one in find(["pkg_b.y:one"])] == ["pkg_b.y:one"]


def test_a_folder_stands_for_its_files_that_declare_targets(tmp_path: Path) -> None:
    write(tmp_path, "mine_b.py")
    write(tmp_path, "other.py", "raise RuntimeError('not to be imported')")
    assert [one.program.name for one in find([str(tmp_path)])] == ["one"]


DECORATED = "def f(mp): ...\n"
ACTORS = "class S:\n    def result(self): ...\n"


@pytest.mark.parametrize(
    ("source", "declares"),
    [
        (f"from bench import program\n@program()\n{DECORATED}", True),
        (f"from bench import scenario\n@scenario()\n{ACTORS}", True),
        (f"import bench\n@bench.program()\n{DECORATED}", True),
        (f"import bench\n@bench.scenario()\n{ACTORS}", True),
        (f"import bench as b\n@b.program()\n{DECORATED}", True),
        (f"import bench.declared\n@bench.declared.scenario()\n{ACTORS}", True),
        (f"from bench import program as p\n@p()\n{DECORATED}", True),
        (f"from bench import racy, scenario as s\n@s()\n{ACTORS}", True),
        (f"from bench.declared import program as p\n@p()\n{DECORATED}", True),
        (f"from bench import program\n@program\n{DECORATED}", True),
        (f"from bench import program\n@program()\nasync {DECORATED}", True),
        (f"from bench import program\n@program()\n{DECORATED}(\n", True),
        (f"import bench\n@bench.program()\n{DECORATED}\0", True),
        ("from bench import program\n", False),
        (f"from click import program\n@program()\n{DECORATED}", False),
        (f"from click import group as p\nimport bench\n@p()\n{DECORATED}", False),
        (f"from bench import x\n@programmed\n{DECORATED}", False),
        (f"import bench\nTEXT = '''\n@program()\n{DECORATED}'''\n", False),
        (f"import bench\n@registry['program']\n{DECORATED}", False),
        ("", False),
    ],
)
def test_whether_a_file_declares_targets_follows_from_its_source(source: str, declares: bool) -> None:
    assert declares_targets(source) is declares


@pytest.mark.parametrize(
    ("head", "decorator"),
    [
        ("import bench", "@bench.program(bench.deterministic(1))"),
        ("import bench as b", "@b.program(b.deterministic(1))"),
        ("from bench import deterministic, program as p", "@p(deterministic(1))"),
    ],
)
def test_a_folder_s_files_are_found_by_whatever_name_the_decorator_has(
    tmp_path: Path, head: str, decorator: str
) -> None:
    write(tmp_path, "mine_i.py", f"{head}\n\n{decorator}\ndef one(mp):\n    return 1\n")
    assert [one.program.target for one in find([str(tmp_path)])] == ["mine_i:one"]


def test_a_folder_needs_no_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "programs_here/mine_h.py")
    monkeypatch.chdir(tmp_path)
    assert [one.program.name for one in find(["programs_here"])] == ["one"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError"),
        ("def f(:\n", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("1 / 0", "ZeroDivisionError.*mine_c.py:1"),
    ],
)
def test_a_file_that_does_not_import_is_reported_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, "mine_c.py", text)
    with pytest.raises(UsageError, match=f"cannot import mine_c: .*{words}"):
        find([str(path)])


def test_two_programs_of_one_name_in_a_file_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "mine_d.py", ONE + ONE)
    with pytest.raises(UsageError, match="two programs named one"):
        find([str(path)])


def test_two_files_of_one_module_name_are_refused(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{folder}/mine_e.py") for folder in ("a", "b")]
    with pytest.raises(UsageError, match="same module name"):
        find([str(path) for path in paths])


def test_an_unknown_name_gets_a_hint(tmp_path: Path) -> None:
    path = write(tmp_path, "mine_f.py")
    with pytest.raises(UsageError, match="did you mean one"):
        find([f"{path}::onee"])


@pytest.mark.parametrize("target", ["nowhere/at/all.py", "not a module", "1234", "no_such_module_x"])
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(UsageError):
        find([target])


def test_a_file_without_programs_is_nothing_to_run(tmp_path: Path) -> None:
    with pytest.raises(NothingToRun, match="decorate a function"):
        find([str(write(tmp_path, "mine_g.py", "x = 1"))])


def test_a_mistake_in_a_declaration_is_found_by_its_place(tmp_path: Path) -> None:
    bare = write(tmp_path, "bare.py", "from bench import program\n\n@program\ndef f(mp): ...\n")
    line = 3 if sys.version_info >= (3, 11) else 4  # before 3.11 what a decorator raises is of the line of the `def`
    with pytest.raises(UsageError, match=rf"bare\.py:{line}: f is no expectation; write for example @program\("):
        find([str(bare)])


def test_a_program_takes_a_context() -> None:
    with pytest.raises(UsageError, match="nested in a function"):

        @program()
        def inner(mp: object) -> None: ...

    with pytest.raises(UsageError, match="brackets forgotten"):
        program()(42)  # type: ignore[type-var]  # wrong on purpose
    with pytest.raises(UsageError, match="is no expectation"):
        program(200)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UsageError, match="at least one sample"):
        program(samples=0)
    with pytest.raises(UsageError, match="time in seconds"):
        program(deadline_s=0)
