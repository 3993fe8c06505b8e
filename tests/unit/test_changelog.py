"""CHANGELOG.md has the form of Keep a Changelog, and agrees with the version of the package."""

from __future__ import annotations

import re
from datetime import date

import pytest
from packaging.version import Version

import bench
from tests.fixtures.checkout import text

KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
CHANGELOG = text("CHANGELOG.md")
RELEASED = re.compile(r"\[(?P<version>\d+\.\d+\.\d+)\] - (?P<day>\d{4}-\d\d-\d\d)")


def sections(changelog: str) -> dict[str, str]:
    """The text below each heading of the second level, in order."""
    titles = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    return dict(zip(titles, re.split(r"^## .*$", changelog, flags=re.MULTILINE)[1:], strict=True))


def entries(section: str) -> list[str]:
    return re.findall(r"^- ", section, re.MULTILINE)


def trouble(changelog: str, version: str) -> str:
    """What is wrong between a changelog and the version of the package; empty if nothing is."""
    unreleased, *releases = sections(changelog).items()
    if unreleased[0] != "[Unreleased]":
        return "the first section is not [Unreleased]"
    found = [RELEASED.fullmatch(title) for title, _ in releases]
    if not all(found):
        return "a release is written [X.Y.Z] - YYYY-MM-DD"
    versions = [Version(one["version"]) for one in found if one]
    days = [date.fromisoformat(one["day"]) for one in found if one]
    if sorted(versions, reverse=True) != versions or sorted(days, reverse=True) != days:
        return "the newest release is not first"
    newest = versions[0] if versions else Version("0")
    if Version(version) < newest:
        return f"the package is {version}, older than {newest}"
    if Version(version) > newest and not entries(unreleased[1]):
        return f"{version} is not released, and nothing is said of it"
    return ""


def test_it_agrees_with_the_version_of_the_package() -> None:
    assert trouble(CHANGELOG, bench.__version__) == ""


@pytest.mark.parametrize("title", sections(CHANGELOG))
def test_each_section_sorts_its_entries_by_kind(title: str) -> None:
    kinds = re.findall(r"^### (.*)$", sections(CHANGELOG)[title], re.MULTILINE)
    assert kinds == [kind for kind in KINDS if kind in kinds]
    for part in re.split(r"^### .*$", sections(CHANGELOG)[title], flags=re.MULTILINE)[1:]:
        assert entries(part), "a kind without entries"


ONE = "# Changelog\n## [Unreleased]\n{unreleased}\n## [0.1.0] - 2026-12-01\n### Added\n- All of it.\n"


@pytest.mark.parametrize(
    ("changelog", "version", "wrong"),
    [
        (ONE.format(unreleased=""), "0.1.0", ""),
        (ONE.format(unreleased="### Fixed\n- A hang.\n"), "0.1.0", ""),
        (ONE.format(unreleased="### Fixed\n- A hang.\n"), "0.2.0.dev0", ""),
        (ONE.format(unreleased=""), "0.2.0", "0.2.0 is not released, and nothing is said of it"),
        (ONE.format(unreleased=""), "0.0.9", "the package is 0.0.9, older than 0.1.0"),
        (ONE.replace("[Unreleased]", "Unreleased"), "0.1.0", "the first section is not [Unreleased]"),
        (ONE.replace(" - 2026-12-01", ""), "0.1.0", "a release is written [X.Y.Z] - YYYY-MM-DD"),
        (ONE + "## [0.2.0] - 2026-11-01\n", "0.2.0", "the newest release is not first"),
    ],
)
def test_what_does_not_agree_is_noticed(changelog: str, version: str, wrong: str) -> None:
    assert trouble(changelog, version) == wrong


def test_a_release_is_made_by_a_list_that_names_this_test() -> None:
    checklist = text("RELEASING.md")
    assert "`tests/unit/test_changelog.py`" in checklist
    assert all(line.startswith("- [ ] ") for line in checklist.splitlines() if line.startswith("- "))
