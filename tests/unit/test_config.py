from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest

from bench.cells import PYTHONS
from bench.errors import UsageError
from bench.matrix.config import Config, find_config, load_config, parse_bytes, parse_config, schema, tool_schema
from bench.matrix.config.settings import READERS
from bench.matrix.plan import parse_axes
from bench.matrix.rules import Own, Rule
from bench.sampling import Sampling


def project(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    path = project(
        tmp_path,
        """
        [tool.bench]
        python = ["3.10", "pypy3.11"]
        method = "fork, spawn"
        cpus = [1, 2, "quota0.5"]
        seen = ["real", 8]
        select = "py31*"
        skip = ["*-cpu4", "pypy*-spawn-*"]
        targets = ["tests/programs.py", "package.module:Name"]
        modes = "stress, repeat"
        samples = 20
        seconds = 2
        deadline = 1.5
        timeout = 300
        jobs = 2
        engine = "local"
        memory = "512m"
        pids = 128
        shm = 1048576
        out = "runs"
        requirements = ["numpy>=2"]
        include = ["src/**"]
        exclude = ["docs/**", "*.bin"]
        required = ["py310-*"]
        [[tool.bench.cells]]
        match = ["py310-spawn-*", "pypy*"]
        run = false
        reason = "too slow"
        [[tool.bench.cells]]
        match = "py310-*"
        timeout = 60
        memory = "1g"
        shm = "1m"
        pids = 9
        environment = {OMP_NUM_THREADS = "1"}
        [tool.bench.images]
        "py314-ours" = "registry.example:5000/python:3.14"
        """,
    )
    assert load_config(tmp_path) == Config(
        python=("3.10", "pypy3.11"),
        method=("fork", "spawn"),
        cpus=("1", "2", "quota0.5"),
        seen=("real", "8"),
        images={"3.14-ours": "registry.example:5000/python:3.14"},
        select="py31*",
        skip="*-cpu4 pypy*-spawn-*",
        targets=("tests/programs.py", "package.module:Name"),
        sampling=Sampling(("repeat", "stress"), 20, 2.0, 1.5),
        timeout=300.0,
        jobs=2,
        engine="local",
        memory=512 * 1024**2,
        pids=128,
        shm=1024**2,
        out="runs",
        requirements=("numpy>=2",),
        include=("src/**",),
        exclude=("docs/**", "*.bin"),
        required=("py310-*",),
        cells=(
            Rule("py310-spawn-* pypy*", False, "too slow"),
            Rule("py310-*", own=Own(60, 1024**3, 1024**2, 9, {"OMP_NUM_THREADS": "1"})),
        ),
        path=path,
    )


def test_its_axes_are_those_of_the_plan(tmp_path: Path) -> None:
    project(tmp_path, '[tool.bench]\npython = "3.14"\ncpus = 2')
    config = load_config(tmp_path)
    assert [cell.name for cell in parse_axes(config.python, config.method, config.cpus).cells()] == [
        "py314-fork-cpu2",
        "py314-spawn-cpu2",
        "py314-forkserver-cpu2",
    ]


def test_the_nearest_project_upwards_counts(tmp_path: Path) -> None:
    project(tmp_path, "[tool.bench]\njobs = 1")
    inner = tmp_path / "inner"
    (inner / "src" / "deep").mkdir(parents=True)
    path = project(inner, "[tool.bench]\njobs = 2")
    assert find_config(inner / "src" / "deep") == path
    assert (load_config(inner / "src" / "deep").jobs, load_config(tmp_path).jobs) == (2, 1)
    assert load_config(inner / "src").root == inner


def test_a_project_without_settings_has_the_defaults(tmp_path: Path) -> None:
    path = project(tmp_path, "[project]\nname = 'x'")
    assert load_config(tmp_path) == Config(path=path)
    assert Config().root is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("samles = 3", "unknown key 'samles' in [tool.bench]; did you mean samples?"),
        ("pythons = ['3.14']", "did you mean python?"),
        ("colour = 1", "unknown key 'colour' in [tool.bench]; there are python, method"),
        ("modes = ['guess']", "modes in [tool.bench] is ['guess']; give some of repeat, stress, explore"),
        ("samples = 0", "samples in [tool.bench] is 0; give a whole number from 1 up"),
        ("samples = 1.5", "give a whole number"),
        ("samples = true", "is true; give a whole number"),
        ("jobs = 'two'", "jobs in [tool.bench] is 'two'; give a whole number"),
        ("seconds = -1", "give a number of seconds greater than 0"),
        ("seconds = inf", "give a number of seconds"),
        ("timeout = nan", "give a number of seconds"),
        ("engine = 'podman'", "give one of auto, docker, local"),
        ("engine = []", "give one of auto, docker, local"),
        ("python = 3.10", "give versions as strings"),
        ("python = [3.14]", "give versions as strings"),
        ("cpus = [1.5]", "give numbers of CPUs"),
        ("cpus = true", "give numbers of CPUs"),
        ("seen = [0]", 'give numbers of CPUs, or "real"'),
        ('cpus = "many"', "give numbers of CPUs"),
        ('cpus = [1, "quota0"]', "give numbers of CPUs"),
        ('python = ["3.9"]', ", of 3.10, "),
        ('method = "fork, threads"', "give some of fork, spawn, forkserver"),
        ('images = {"3.9" = "python:3.9"}', "images in [tool.bench] is {'3.9': 'python:3.9'}; give a table of images"),
        ('images = {"3.14" = "python"}', "give a table of images by Pythons"),
        (
            "[[tool.bench.cells]]\nmach = 'py310-*'",
            "unknown key 'mach' in [[tool.bench.cells]], entry 1; did you mean match?",
        ),
        ("[[tool.bench.cells]]\nrun = true", "[[tool.bench.cells]], entry 1 lacks a key: 'match' is a required"),
        ("[[tool.bench.cells]]\nmatch = 'py310-*'\nrun = false", "lacks a key: 'reason' is a dependency of 'run'"),
        (
            "[[tool.bench.cells]]\nmatch = 'a'\n[[tool.bench.cells]]\nmatch = 'b'\ntimeout = 0",
            "timeout in [[tool.bench.cells]], entry 2 is 0; give a number of seconds",
        ),
        ("[[tool.bench.cells]]\nmatch = 'a'\nenvironment = {BENCH_X = '1'}", "those that begin with BENCH_ are taken"),
        ("cells = 'py310-*'", "cells in [tool.bench] is 'py310-*'; give tables, [[tool.bench.cells]]"),
        ("method = [1]", "give some of fork, spawn, forkserver"),
        ("targets = {a = 1}", "give a string or a list of strings"),
        ("exclude = ['']", "give a string or a list of strings"),
        ("memory = 'lots'", "give a size such as"),
        ("memory = 0", "give a size such as"),
        ("shm = false", "give a size such as"),
        ("out = ''", "give a string"),
        (f"out = [{', '.join(['1'] * 99)}]", "...; give a string"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    path = project(tmp_path, f"[tool.bench]\n{text}")
    with pytest.raises(UsageError) as caught:
        load_config(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[tool.bench\n", "a = ", "\x00"])
def test_what_is_no_toml_is_named(tmp_path: Path, text: str) -> None:
    path = project(tmp_path, text)
    with pytest.raises(UsageError, match=f"{path} is no valid TOML"):
        load_config(tmp_path)


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is no valid TOML"):
        load_config(tmp_path)


def test_the_table_must_be_one() -> None:
    with pytest.raises(UsageError, match=r"make it a table, \[tool.bench\]"):
        parse_config(7, Path("pyproject.toml"))


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("64m", 64 * 1024**2), ("2G", 2 * 1024**3), ("1.5 GiB", 3 * 1024**3 // 2), ("8kb", 8192)],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "0", "-1", "1t", "1e3", "0.1", "1 2m", "nan"])
def test_sizes_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="for example 512m"):
        parse_bytes(text)


def test_the_schema_and_the_settings_have_the_same_keys() -> None:
    sampling = {"modes", "samples", "seconds", "deadline"}
    ours = {one.name for one in fields(Config)} - {"sampling", "path"}
    assert set(schema()["properties"]) == ours | sampling
    assert set(READERS) <= set(schema()["properties"])


def test_the_schema_is_one_that_editors_know() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    assert schema()["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert all(python in schema()["definitions"]["pythons"]["title"] for python in PYTHONS)


def test_validate_pyproject_gets_the_schema_whole_and_without_formats_of_ours() -> None:
    assert '"format": "bench-' in json.dumps(schema())
    published = tool_schema("bench")
    assert not any(word in json.dumps(published) for word in ('"format": "bench-', '"$ref"', '"definitions"'))
    assert published["properties"]["jobs"]["minimum"] == 1
    assert set(published["properties"]) == set(schema()["properties"])


def test_the_validator_is_imported_only_where_there_is_something_to_check() -> None:
    code = (
        "import sys; from pathlib import Path; from bench.matrix.config import parse_config; "
        "parse_config({}, Path('x')); assert 'jsonschema' not in sys.modules; "
        "parse_config({'jobs': 1}, Path('x')); assert 'jsonschema' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
