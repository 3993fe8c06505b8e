"""The processes of a sample, a fork group or an exploration: started, listened to, and ended."""

from __future__ import annotations

import ast
import contextlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.process import journal, tree
from bench.process.agreed import MAIN
from bench.process.folders import environment

_MAIN = str(Path(__file__).with_name("main.py"))

_TRACKER_S = 2.0
"""How long resource trackers may take to clean up once all others are gone."""

_MOST_STDERR = 4_000


def start(
    main: str, arguments: Sequence[str], folder: Path, seed: int, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the main process of a sample or group in a session of its own, its output in files.

    Args:
        main: the main module of the mode.
        arguments: for it.
        folder: of the sample or group, where its output goes.
        seed: of the hashes of strings.
        env: what its environment has besides that of all samples and groups.
    """
    safe_path = ["-P"] if sys.version_info >= (3, 11) else []
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        return subprocess.Popen(
            [sys.executable, *safe_path, _MAIN, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            env={**environment(folder, seed), MAIN: main, **(env or {})},
        )


def end(main: subprocess.Popen[bytes], folder: Path) -> None:
    """End all processes of a group; the resource trackers last, once they have cleaned up."""

    def members() -> list[tree.Proc]:
        return tree.find(f"{journal.VARIABLE}={folder}", main.pid)

    def workers() -> list[tree.Proc]:
        return [proc for proc in members() if proc.role != "resource tracker"]

    tree.kill_all(workers)
    main.kill()
    main.wait()
    deadline = time.monotonic() + _TRACKER_S
    while members() and time.monotonic() < deadline:
        time.sleep(0.005)
    if left := tree.kill_all(members):
        sys.stderr.write(f"bench: could not end {', '.join(str(proc.pid) for proc in left)}\n")


def stderr(folder: Path) -> str:
    """Return the end of what the processes of a group wrote to their standard error."""
    with contextlib.suppress(OSError):
        return (folder / "stderr").read_text("utf-8", "replace")[-_MOST_STDERR:]
    return ""


class Reader:
    """Reads what has been appended to a journal since the last time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal"
        self._at = 0

    def new(self) -> list[dict[str, Any]]:
        """Return the new lines; one that is not whole yet is left for the next time."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        return [ast.literal_eval(line.decode("utf-8", "replace")) for line in whole.splitlines()]
