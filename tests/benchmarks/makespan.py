"""The default matrix: its makespan beside its lower bound, the sum of CPUs x time over the cores."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Run the whole default matrix (some minutes) and print."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench", "matrix", "--out", f"{folder}/run"]
        status = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        run = json.loads(Path(folder, "run", "run.json").read_text())
    cells = [cell for cell in run["cells"] if cell["decision"] == "run"]
    ratio = run["makespan_s"] / run["lower_bound_s"]
    print(
        f"{len(cells)} cells, exit status {status}: makespan {run['makespan_s']:.0f} s; "
        f"lower bound {run['lower_bound_s']:.0f} s; ratio {ratio:.3f}"
    )
