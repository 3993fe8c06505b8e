"""The project's workflow on GitHub does what `tox run` does, and may do nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.checkout import ROOT, commands, text, toml, yaml

WORKFLOW: dict[str, Any] = yaml(".github/workflows/ci.yml")
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[0-9]-*.yml"))
PINNED = re.compile(r"uses: ([\w/-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$")


def env_list() -> list[str]:
    """The environments that `tox run` runs, those in braces written out."""
    (listed,) = re.findall(r"^env_list = (.*)$", text("tox.ini"), re.MULTILINE)
    names = re.findall(r"(?:[^,{\s]|\{[^}]*\})+", listed)
    return [one for name in names for one in written_out(name)]


def written_out(name: str) -> list[str]:
    before, _, rest = name.partition("{")
    inside, _, after = rest.partition("}")
    return [f"{before}{one}{after}" for one in inside.split(",")]


def steps() -> Iterator[dict[str, Any]]:
    for job in JOBS.values():
        yield from job["steps"]


def environments(job: dict[str, Any]) -> list[str]:
    matrix = job.get("strategy", {}).get("matrix", {})
    return [*matrix.get("environment", []), *(one["environment"] for one in matrix.get("include", []))]


def test_its_jobs_are_the_environments_of_tox_each_once() -> None:
    assert sorted(name for job in JOBS.values() for name in environments(job)) == sorted(env_list())


def test_each_environment_is_run_by_the_tox_that_the_project_asks_for() -> None:
    for name, job in JOBS.items():
        if name == "all":
            continue
        runs = [step["run"] for step in job["steps"] if "run" in step]
        (wanted,) = [one for one in toml("pyproject.toml")["project"]["dependencies"] if one.startswith("tox")]
        assert f'python -m pip install "{wanted}"' in runs
        assert runs[-1].startswith('tox run -e "$ENVIRONMENT"')
        assert job["steps"][-1]["env"] == {"ENVIRONMENT": "${{ matrix.environment }}"}


def test_each_python_has_the_environment_that_is_named_for_it_and_fails_where_it_is_missing() -> None:
    job = JOBS["tests"]
    pythons = {one["python"]: one["environment"] for one in job["strategy"]["matrix"]["include"]}
    assert all(environment == f"py{python.replace('.', '')}" for python, environment in pythons.items())
    classified = re.findall(r"Programming Language :: Python :: (3\.\d+)", text("pyproject.toml"))
    assert list(pythons) == classified
    assert job["steps"][-1]["run"].endswith("--skip-missing-interpreters false")


def test_it_is_green_only_if_every_job_is() -> None:
    last = JOBS["all"]
    assert last["needs"] == [name for name in JOBS if name != "all"]
    assert last["if"] == "always()", "a job that is skipped counts as passed for GitHub"
    (step,) = last["steps"]
    assert step["run"] == f'test "$RESULTS" = "{" ".join(["success"] * len(last["needs"]))}"'


def test_actions_are_pinned_by_commit_each_at_one_version() -> None:
    files = (".github/workflows/ci.yml", ".github/workflows/nightly.yml")
    lines = [line for file in files for line in text(file).splitlines() if "uses:" in line]
    found = [PINNED.search(line) for line in lines]
    assert all(found), "name the commit, and the version in a comment"
    pins = {(one[1], one[2]) for one in found if one}
    assert len(pins) == len({name for name, _ in pins}) == 2


def test_a_job_may_read_the_sources_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {}
    assert "pull_request_target" not in WORKFLOW["on"]
    for name, job in JOBS.items():
        assert job["permissions"] == ({} if name == "all" else {"contents": "read"})
    for step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"
        assert "${{" not in step.get("run", ""), "what a shell runs is never put together from what others wrote"


@pytest.mark.parametrize("name", JOBS)
def test_no_job_runs_for_ever(name: str) -> None:
    assert 0 < int(JOBS[name]["timeout-minutes"]) <= 40


def test_lint_checks_every_file_of_these() -> None:
    listed = {word for command in commands("lint") for word in command if word.startswith(".github/")}
    listed |= set(re.findall(r"^ +(\.github/\S+)$", text("tox.ini"), re.MULTILINE))
    there = [path for path in (ROOT / ".github").rglob("*.yml") if path.name != "config.yml"]
    assert listed == {path.relative_to(ROOT).as_posix() for path in there}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_report_of_a_wrong_answer_asks_for_what_it_takes_to_see_it_again(form: Path) -> None:
    asked = yaml(form.relative_to(ROOT).as_posix())
    fields = {one["id"]: one for one in asked["body"] if one["type"] != "markdown"}
    needed = {name for name, one in fields.items() if one.get("validations", {}).get("required") == "true"}
    assert needed
    if "false" in form.stem:
        assert {"target", "said", "truth", "doctor"} <= needed
    if "feature" not in form.stem:
        assert "`bench doctor`" in fields["doctor"]["attributes"]["label"]
