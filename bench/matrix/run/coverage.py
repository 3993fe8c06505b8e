"""The data that cells measure with coverage.py, which comes with their records, in files of a run's folder."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

from bench.cells import Cell
from bench.matrix.engines.base import MIB
from bench.process.measuring import TYPE

FOLDER = "coverage"
"""The folder, in that of a run, of the data and of the reports made from it."""

TMP_BYTES = 512 * MIB
"""The size of `/tmp` in a cell that is measured: each of its processes writes a file there."""

_BEGINNING = b'{"v": 1, "type": "' + TYPE.encode() + b'"'


def take_coverage(folder: Path, cell: Cell, line: bytes) -> bool:
    """Write the data of a cell into the run's folder, if a line that the cell wrote is that, and return whether it is.

    Each time that the command ran is a file of its own. A line that is damaged is dropped: nothing was measured then.
    """
    if not line.startswith(_BEGINNING):
        return False
    try:
        data = zlib.decompress(base64.b64decode(json.loads(line)["data"]))
    except (ValueError, KeyError, TypeError, zlib.error):
        return True
    into = folder / FOLDER
    into.mkdir(parents=True, exist_ok=True)
    (into / f"{cell.name}.{1 + len(files_of(folder, cell))}.data").write_bytes(data)
    return True


def files_of(folder: Path, cell: Cell) -> list[Path]:
    """Return the files of data of a cell, one for each time that its command ran."""
    return sorted((folder / FOLDER).glob(f"{cell.name}.*.data"))


def drop_coverage(folder: Path, cell: Cell) -> None:
    """Remove the data of a cell that is to run again as a whole."""
    for path in files_of(folder, cell):
        path.unlink()
