"""The default matrix: its makespan beside its lower bound, the sum of CPUs x time over the cores, and what took it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from bench.cells import parse_cell
from bench.matrix.placement import cpus_needed
from bench.record import Judged, read_lines


def main() -> None:
    """Run the whole default matrix (some minutes) and print."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench", "matrix", "--out", f"{folder}/run"]
        status = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        tell(Path(folder, "run"), status)


def tell(folder: Path, status: int | str) -> None:
    """Print the figures of a run: its times, and how the area of its cells divides."""
    run = json.loads((folder / "run.json").read_text())
    cells = {cell["cell"]: cell["seconds"] for cell in run["cells"] if cell["decision"] == "run"}
    ratio = run["makespan_s"] / run["lower_bound_s"]
    print(
        f"{len(cells)} cells, exit status {status}: makespan {run['makespan_s']:.0f} s; "
        f"lower bound {run['lower_bound_s']:.0f} s; ratio {ratio:.3f}"
    )
    print(f"cells by status: {dict(Counter(cell.get('status') for cell in run['cells']))}")
    share = {name: cpus_needed(parse_cell(name)) / len(run["host_cpus"]) for name in cells}
    took: defaultdict[str, float] = defaultdict(float)
    for name in cells:
        for line in read_lines(folder / "cells" / f"{name}.jsonl"):
            if isinstance(line, Judged):
                took[line.mode] += line.seconds * share[name]
    took["all else"] = sum(seconds * share[name] for name, seconds in cells.items()) - sum(took.values())
    print("of the lower bound: " + ", ".join(f"{what} {seconds:.0f} s" for what, seconds in took.items()))


if __name__ == "__main__":
    for one in sys.argv[1:]:
        tell(Path(one), "as recorded")
