"""pre-commit runs what tox's `lint` and `types` run, with the same tools: those of one environment."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.fixtures.checkout import commands, toml, yaml

HOOKS: list[dict[str, Any]] = [
    hook for repository in yaml(".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]
]
TOO_SLOW = {"sphinx-build"}
"""Tools of the environment `lint` that take longer than one waits for a commit."""

CHECKS = [one for one in [*commands("lint"), *commands("types")] if one[0] not in TOO_SLOW]
GROUPS = toml("pyproject.toml")["dependency-groups"]


def kind(command: list[str]) -> tuple[str, ...]:
    """What a command runs: the tool, with its subcommand if it has one."""
    return tuple(word for word in command[:2] if re.fullmatch(r"[\w-]+", word) and not word.startswith("-"))


def requirements(group: str) -> set[str]:
    """The requirements of a dependency group, those of the groups that it includes among them."""
    found = set[str]()
    for one in GROUPS[group]:
        found |= {one} if isinstance(one, str) else requirements(one["include-group"])
    return found


def test_every_check_is_a_hook_and_every_hook_a_check() -> None:
    assert [kind(hook["entry"].split()) for hook in HOOKS] == [kind(check) for check in CHECKS]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_a_hook_uses_the_tool_of_the_environment_that_one_commits_from(hook: dict[str, Any]) -> None:
    assert hook["language"] == "system", "a version of its own would differ from that of tox one day"
    assert "additional_dependencies" not in hook
    tool = kind(hook["entry"].split())[0]
    assert [one for one in requirements("dev") if re.match(rf"{tool}\b", one)], f"{tool} is not in the group dev"


def test_the_group_dev_is_all_the_others_and_pre_commit() -> None:
    others = {one for group in GROUPS if group != "dev" for one in GROUPS[group]}
    assert requirements("dev") - others == {one for one in requirements("dev") if one.startswith("pre-commit")}
    assert others <= requirements("dev")
