"""A run that is killed at random, again and again, and resumed: does it end as an uninterrupted one does?

`python -m tests.benchmarks.killed [KILLS] [ENGINE]`, 20 and local unless given. It prints what it did, and fails if the
results differ, a finished cell ran twice, or something outlives the start after a kill.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.matrix.engines.local import CELL, OWNER
from bench.process import tree
from bench.process.owners import is_dead
from bench.report.loaded import read

SUITE = """
import multiprocessing, os, subprocess, sys, time
from multiprocessing import shared_memory


def test_passes():
    time.sleep(0.4)


def test_needs_fork():
    job = multiprocessing.Process(target=lambda: None)
    job.start()
    job.join()


def test_leaves_an_orphan_behind_for_a_while():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)


def test_holds_shared_memory():
    block = shared_memory.SharedMemory(f"bench-killed-{os.getpid()}", create=True, size=64)
    time.sleep(0.4)
    block.close()
    block.unlink()
"""

SHM = Path("/dev/shm")
"""Where shared memory shows; containers have their own."""


class Bench:
    """A project of its own, and the command `bench matrix` in it; what it leaves goes below `folder`."""

    def __init__(self, folder: Path, python: str, engine: str = "local") -> None:
        self.project, self.temporary = folder / "project", folder / "tmp"
        self.temporary.mkdir()
        (self.project / "tests").mkdir(parents=True)
        (self.project / "pyproject.toml").write_text("[tool.bench]\nrequirements = []\n")
        (self.project / "tests" / "test_killed.py").write_text(SUITE)
        self.engine = engine
        self.axes = ("--engine", engine, "--python", python, "--cpus", "1")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the command."""
        command = [sys.executable, "-m", "bench", "matrix", *arguments]
        environment = {**os.environ, "TMPDIR": str(self.temporary)}
        with (self.temporary.parent / "output").open("ab") as output:
            return subprocess.Popen(command, cwd=self.project, env=environment, stdout=output, stderr=output)

    def anew(self, out: Path) -> subprocess.Popen[bytes]:
        """Start a run from its beginning."""
        return self.start(*self.axes, "--out", str(out), "--", "pytest", "tests")

    def go_on(self, out: Path) -> subprocess.Popen[bytes]:
        """Resume a run; one that was killed before it had written its plan begins from the start."""
        return self.start("--resume", str(out)) if (out / "run.json").exists() else self.anew(out)

    def left_behind(self) -> list[str]:
        """List what runs that are dead have left: processes, containers, folders, and shared memory."""
        found = [f"process {p.pid}" for p in tree.processes() if _is_of_the_dead(p.pid)]
        found += [f"folder {one.name}" for one in self.temporary.iterdir()]
        found += [f"shared memory {one.name}" for one in SHM.glob("bench-killed-*")]
        if self.engine == "docker":
            from bench.matrix.engines.docker import LABEL, DockerEngine

            with_owner = DockerEngine().client.containers.list(all=True, filters={"label": f"{LABEL}.owner"})
            found += [f"container {one.name}" for one in with_owner if is_dead(one.labels[f"{LABEL}.owner"])]
        return found


def _is_of_the_dead(pid: int) -> bool:
    environment = tree.environment(pid)
    return CELL in environment and is_dead(environment.get(OWNER, ""))


def result(out: Path) -> dict[str, object]:
    """Return what a run found, without its times."""
    run = read(out)
    return {
        cell.cell: (cell.status, cell.end.why, [(one.id, one.status, one.signature) for one in cell.tests])
        for cell in run.cells
    }


def finished(out: Path) -> dict[str, bytes]:
    """Return the whole record of each cell that is finished."""
    files = {path.stem: path.read_bytes() for path in (out / "cells").glob("*.jsonl")}
    return {name: data for name, data in files.items() if data.endswith(b"\n") and b'"type": "end"' in data}


def kill_when(process: subprocess.Popen[bytes], due: Callable[[], bool]) -> bool:
    """Kill a process once it is due, and return whether that came before its own end."""
    while process.poll() is None and not due():
        time.sleep(0.01)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


def main(kills: int = 20, engine: str = "local") -> None:
    """Measure and print."""
    python = f"3.{sys.version_info[1]}"
    with tempfile.TemporaryDirectory(prefix="bench-killed-") as folder:
        bench = Bench(Path(folder), python, engine)
        expected_s = _uninterrupted(bench, Path(folder) / "whole")
        whole = result(Path(folder) / "whole")
        out, killed, runs, seed = Path(folder) / "cut", 0, 1, int(time.time())
        chance = random.Random(seed)
        print(f"uninterrupted: {expected_s:.1f} s; seed {seed}", flush=True)
        while killed < kills:
            due = time.monotonic() + chance.uniform(0, 1.3 * expected_s)
            before = finished(out)
            killed += kill_when(bench.go_on(out), lambda due=due: time.monotonic() > due)  # type: ignore[misc]  # a default binds the loop variable
            assert {name: data for name, data in finished(out).items() if name in before} == before
            if len(finished(out)) == len(whole):
                status = bench.go_on(out).wait()
                assert (status, result(out)) == (1, whole), f"another result in {out}"
                out, runs = Path(folder) / f"cut-{runs}", runs + 1
        bench.go_on(out).wait()
        assert result(out) == whole, result(out)
        assert not bench.left_behind(), bench.left_behind()
        print(f"{killed} kills over {runs} runs, each with the result of the uninterrupted one; nothing is left")
        print(json.dumps({cell: found[0] for cell, found in whole.items()}))  # type: ignore[index]  # a tuple


def _uninterrupted(bench: Bench, out: Path) -> float:
    bench.anew(out.with_name("first")).wait()  # which makes the environments or images
    began = time.monotonic()
    bench.anew(out).wait()
    return time.monotonic() - began


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["20"])[0]), (sys.argv[2:] or ["local"])[0])
