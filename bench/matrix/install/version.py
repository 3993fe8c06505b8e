"""The version of a project that asks its version control for it: cells have no history, so it is told."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

VARIABLES = (
    "SETUPTOOLS_SCM_PRETEND_VERSION",
    "PBR_VERSION",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
)
"""The environment variables by which the tools in question take a version that they cannot find."""

FALLBACK = "0.0.0.dev0"

_ASKING = re.compile(r"setuptools[-_.]scm|hatch[-_.]vcs|pbr|poetry[-_.]dynamic[-_.]versioning|vcs[-_.]versioning")


def asks_version_control(build: Iterable[str]) -> bool:
    """Return whether one of these build requirements takes the version from version control."""
    return any(_ASKING.match(line.strip().lower()) for line in build)


def described(root: Path) -> str | None:
    """Return the version of a checkout by its newest tag, as setuptools-scm counts; `None` where git knows none."""
    command = ["git", "-C", str(root), "describe", "--tags", "--long", "--match", "*[0-9]*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else counted(done.stdout.strip())


def counted(description: str) -> str | None:
    """Return the version for what `git describe --long` says: the tag's, or the next one's with `.devN` after it."""
    from packaging.version import InvalidVersion, Version

    tag, distance, _ = (*description.rsplit("-", 2), "", "")[:3]
    found = re.search(r"v?(\d.*)$", tag)
    try:
        version = Version(found[1]) if found else None
    except InvalidVersion:
        return None
    if version is None or not distance.isdecimal():
        return None
    if distance == "0":
        return str(version)
    *head, last = version.release
    numbers = version.release if version.is_prerelease else (*head, last + 1)
    return f"{'.'.join(map(str, numbers))}.dev{distance}"
