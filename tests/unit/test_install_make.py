"""Building a project and putting it in place, by pip's own words and without pip."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.matrix.install import make
from bench.matrix.install.output import LINES, NO_COMPILER, explanation, last_lines

COMPILER = """
Step 5/9 : RUN python3 -m pip wheel
 ---> Running in 5b
\x1b[91m  error: subprocess-exited-with-error
  \u00d7 Building wheel for it (pyproject.toml) did not run successfully.
  \u2502 exit code: 1
  \u2570\u2500> [20 lines of output]
      running build_ext
      error: command 'gcc' failed: No such file or directory
      [end of output]
  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for it
ERROR: Failed to build installable wheels
"""


def test_the_line_that_explains_a_failure_is_found_among_what_pip_frames_it_with() -> None:
    assert explanation(COMPILER) == "error: command 'gcc' failed: No such file or directory"
    assert NO_COMPILER.search(COMPILER)
    assert last_lines(COMPILER).splitlines() == [
        "running build_ext",
        "error: command 'gcc' failed: No such file or directory",
        "ERROR: Failed building wheel for it",
        "ERROR: Failed to build installable wheels",
    ]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "x\nModuleNotFoundError: No module named 'numpy'\nERROR: Failed to build 'it'",
            "ModuleNotFoundError: No module",
        ),
        ("  src/a.c:3:10: fatal error: zlib.h: No such file\nerror: command 'cc' failed", "src/a.c:3:10: fatal"),
        ("E: Unable to locate package gcc\nmore", "E: Unable to locate"),
        ("nothing to see", ""),
        ("ERROR: https://me:secret@host/simple is down", "ERROR: https://****@host/simple"),
    ],
)
def test_the_most_specific_line_explains(output: str, expected: str) -> None:
    assert explanation(output).startswith(expected)
    assert bool(explanation(output)) == bool(expected)


def test_no_more_than_the_last_lines_are_shown() -> None:
    assert len(last_lines("\n".join(map(str, range(100)))).splitlines()) == LINES


class Pip:
    """Answers in place of pip, and remembers what it was asked."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        self.asked.append(words)
        code, output = self.answers.pop(0)
        return subprocess.CompletedProcess(words, code, output)


@pytest.mark.parametrize(
    ("answers", "status", "told", "isolated"),
    [
        ([(0, "")], 0, "", False),
        ([(1, "error: x.c: broken")], 1, "x.c: broken", False),
        ([(1, "No module named 'scikit_build_core'"), (0, "")], 0, "", True),
        ([(1, "Cannot import 'poetry'"), (2, "offline")], 2, "offline", True),
    ],
)
def test_only_a_build_that_lacks_a_requirement_is_tried_again_in_isolation(
    answers: list[tuple[int, str]],
    status: int,
    told: str,
    isolated: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pip = Pip(*answers)
    monkeypatch.setattr(make, "_pip", pip)
    assert make.main(["wheel", "src", "made", "tools"]) == status
    assert told in capsys.readouterr().out
    assert "--no-build-isolation" in pip.asked[0]
    assert [("--no-build-isolation" in words) for words in pip.asked[1:]] == [False] * isolated


def test_what_only_the_build_makes_is_added_to_the_packages_of_the_checkout(tmp_path: Path) -> None:
    with zipfile.ZipFile(_folder(tmp_path / "made" / "wheel") / "it-1.whl", "w") as archive:
        for name in ("it/__init__.py", "it/_fast.so", "it/_version.py", "it-1.dist-info/METADATA", "alone.so"):
            archive.writestr(name, "built" if name != "it/__init__.py" else "first")
    checkout = tmp_path / "checkout"
    for place, text in (("src/it", "first"), ("old/it", "another")):
        (_folder(checkout / place) / "__init__.py").write_text(text)
    (checkout / "src/it/_version.py").write_text("mine")

    assert make.main(["overlay", str(tmp_path / "made"), str(checkout)]) == 0
    found = {str(one.relative_to(checkout)): one.read_text() for one in checkout.rglob("*") if one.is_file()}
    assert found == {
        "src/it/__init__.py": "first",
        "src/it/_fast.so": "built",
        "src/it/_version.py": "mine",
        "old/it/__init__.py": "another",
    }


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_an_installed_project_takes_the_place_of_another_version_of_it(tmp_path: Path) -> None:
    site, new = _folder(tmp_path / "site"), _folder(tmp_path / "made" / "site")
    (_folder(site / "it") / "old.py").touch()
    (_folder(site / "my_it-1.dist-info") / "RECORD").write_text(
        "it/old.py,,\nmy_it-1.dist-info/RECORD,,\n../../etc,,\n"
    )
    _folder(site / "other-1.dist-info")
    (_folder(new / "it") / "new.py").touch()
    _folder(new / "My.It-2.dist-info")
    (_folder(new / "bin") / "run").touch()
    scripts = _folder(tmp_path / "bin")

    assert make.main(["put", str(tmp_path / "made"), str(site), str(scripts)]) == 0
    assert sorted(one.name for one in site.iterdir()) == ["My.It-2.dist-info", "bin", "it", "other-1.dist-info"]
    assert [one.name for one in (site / "it").iterdir()] == ["new.py"]
    assert (scripts / "run").resolve() == site / "bin" / "run"


def test_the_script_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run([sys.executable, "-I", make.__file__, "overlay"], capture_output=True, text=True, check=False)
    assert "TypeError" in done.stderr, "it began, and misses its words"
