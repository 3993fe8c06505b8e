"""What starts of processes take, measured in real ones under each start method."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from bench.process import starting
from bench.pytest_plugin.recording import starts_in
from bench.starts import Starts

SCRIPT = """
import sys, time
from multiprocessing import get_context
from bench.process import starting

starting.install(sys.argv[1], timing_imports=__name__ != "__main__")

def child():
    import slow_later

if __name__ == "__main__":
    import slow_later  # a forked child has it then
    mp = get_context(sys.argv[2])
    for _ in range(2):
        one = mp.Process(target=child)
        one.start()
        one.join()
        assert one.exitcode == 0 and not hasattr(one, "nothing")
    import slow_at_start
    with mp.Pool(1) as pool:
        pool.map(slow_at_start.same, [1])
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_starts_and_imports_of_children_are_measured(tmp_path: Path, method: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "slow_later.py").write_text("import time\ntime.sleep(0.05)\n")
    (tmp_path / "slow_at_start.py").write_text("import time\ntime.sleep(0.05)\ndef same(x): return x\n")
    path = tmp_path / "starts"
    subprocess.run([sys.executable, "script.py", str(path), method], cwd=tmp_path, check=True, timeout=60)
    lines = starting.take(str(path))
    assert not path.exists()
    assert starting.take(str(path)) == []
    found = starts_in(lines, "c")
    assert list(found) == [method]
    one = found[method]
    assert one.count == 3
    assert 0 < one.up_s < one.seconds < 60
    if method == "fork":
        assert one.imports == {}
    elif sys.implementation.name == "cpython":
        later, of_pool = one.imports["slow_later"], one.imports["slow_at_start"]
        assert (later[0], of_pool[0]) == (2, 1)
        assert later[1] >= 0.1
        assert 0.05 <= of_pool[1] < one.seconds


def test_lines_are_added_up_and_a_torn_one_is_left_out() -> None:
    lines = [
        "spawn\t0.5\t0.1\tnumpy=0.3 stdlib=0.05",
        "spawn\t0.25\t-1.0\tnumpy+0.25",
        "fork\t0.01\t0.01\t",
        "spawn\t0.",
    ]
    assert starts_in(lines, "c") == {
        "spawn": Starts("c", "spawn", 1, 0.75, 0.1, {"numpy": (1, 0.55), "stdlib": (1, 0.05)}),
        "fork": Starts("c", "fork", 1, 0.01, 0.01, {}),
    }
