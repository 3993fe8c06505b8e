"""Coverage of real processes: of the parent and its children, told apart, under each start method."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from coverage import CoverageData

from bench.process.measuring import CHILDREN, IN_IMAGE

pytestmark = pytest.mark.skipif(sys.implementation.name == "pypy", reason="once is enough, and PyPy starts slowly")

ROOT = Path(__file__).parents[2]
CELL = "py314-spawn-cpu1"

DRIVER = f"""
import subprocess, sys
from bench.process.measuring import measured

with measured("{CELL}", 1):
    subprocess.run([sys.executable, "program.py", sys.argv[1]], check=True, stdout=2)
"""

PROGRAM = """\
import multiprocessing, os, sys
def before():
    return 1
def in_child(x):
    return 2
def in_pool(x):
    return 3
def in_forked():
    return 4
if __name__ == "__main__":
    before()
    mp = multiprocessing.get_context(sys.argv[1])
    child = mp.Process(target=in_child, args=(1,))
    child.start()
    child.join()
    with mp.Pool(1) as pool:
        pool.map(in_pool, [1])
    if (pid := os.fork()) == 0:
        in_forked()
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_children_ran_is_theirs_and_what_the_parent_ran_before_a_fork_is_not(tmp_path: Path, method: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import bench.process.startup\n")  # as the path file of a cell
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{ROOT}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "driver.py", method],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
        timeout=120,
    )
    line = json.loads(done.stdout)
    assert (line["type"], line["cell"]) == ("coverage", CELL)
    (tmp_path / "data").write_bytes(zlib.decompress(base64.b64decode(line["data"])))
    data = CoverageData(str(tmp_path / "data"))
    data.read()
    contexts = data.contexts_by_lineno(f"{IN_IMAGE}/program.py")
    data.close(force=True)
    assert contexts[3] == contexts[11] == [CELL]
    for number in (5, 7, 9):
        assert contexts[number] == [CELL + CHILDREN], f"line {number}"
    assert contexts[21] == [CELL]
    assert not list(tmp_path.glob("bench-coverage-*"))
