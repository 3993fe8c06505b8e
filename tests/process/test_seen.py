"""The apparent number of CPUs, in real processes: every way to count, children too, and what stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import bench
from bench.process import seen
from bench.process.agreed import METHOD
from bench.process.cpus import usable_cpus

COUNTS = """
import json, multiprocessing, os, sys
def counts():
    affinity = len(os.sched_getaffinity(0)) if sys.version_info < (3, 13) else None
    process = getattr(os, "process_cpu_count", lambda: None)()
    spawn = multiprocessing.get_context("spawn")
    return [os.cpu_count(), multiprocessing.cpu_count(), spawn.cpu_count(), process, affinity]
def tell(queue):
    queue.put(counts())
"""


def run(code: str, count: int, folder: Path, *options: str, method: str = "spawn") -> Any:
    """What a program prints as JSON, in a Python that starts as those of a cell do."""
    (folder / "counting.py").write_text(COUNTS)
    start = "import sys; sys.path[:0] = [{!r}, {!r}]; import bench.process.startup\n"
    site = start.format(str(Path(bench.__file__).parents[1]), str(folder))
    (folder / "program.py").write_text(site + textwrap.dedent(code))
    environment = {**os.environ, METHOD: method, "PYTHONPATH": str(folder), **seen.environment(count)}
    done = subprocess.run(
        [sys.executable, *options, str(folder / "program.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wanted(count: int) -> list[int | None]:
    after = sys.version_info >= (3, 13)
    return [count, count, count, count if after else None, None if after else count]


def test_every_way_to_count_gives_it_in_isolated_pythons_too(tmp_path: Path) -> None:
    code = "import counting, json; print(json.dumps(counting.counts()))"
    assert run(code, 11, tmp_path) == wanted(11)
    isolated = run(code, 11, tmp_path, "-I")
    assert [count for count in isolated if count is not None] == [11] * 4


def test_children_of_every_method_count_the_same(tmp_path: Path) -> None:
    code = """
    import counting, json, multiprocessing
    if __name__ == "__main__":
        found = {}
        for method in ("fork", "spawn", "forkserver"):
            context = multiprocessing.get_context(method)
            queue = context.SimpleQueue()
            child = context.Process(target=counting.tell, args=(queue,))
            child.start()
            found[method] = queue.get()
            child.join()
        print(json.dumps(found))
    """
    assert run(code, 9, tmp_path) == {method: wanted(9) for method in ("fork", "spawn", "forkserver")}


def test_pinning_still_works_on_what_is_there_and_is_read_back(tmp_path: Path) -> None:
    code = """
    import json, os
    from bench.process import seen
    from bench.process.cpus import usable_cpus
    first = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {first})
    print(json.dumps([sorted(os.sched_getaffinity(0)), list(usable_cpus()), seen.fact(3)["by"]]))
    """
    first = usable_cpus()[0]
    means = "PYTHON_CPU_COUNT" if sys.version_info >= (3, 13) else "shim"
    assert run(code, 3, tmp_path) == [[first], [first], means]


def test_ids_begin_with_those_that_are_there() -> None:
    assert seen._ids({3, 5}, 4) == {3, 5, 0, 1}
    assert seen._ids({0, 1, 2, 3}, 2) == {0, 1}
    assert seen._ids({0}, 8) == set(range(8))


def test_nothing_asked_for_changes_nothing() -> None:
    assert seen.environment(None) == {}
    assert seen.fact(None) is None
