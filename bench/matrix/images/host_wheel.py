"""The wheel of a project with native code for a base that is packed from this host: built by that interpreter, here.

Such a base has no compiler and no distribution to take one from, but the libraries of this host: what its compiler
makes runs there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cells import Python
from bench.errors import Unavailable
from bench.matrix.discovery import find
from bench.matrix.install.host import build_wheel, virtualenv, write_files

if TYPE_CHECKING:
    from bench.matrix.images.recipe import Ingredients


def host_wheel(python: Python, ingredients: Ingredients) -> tuple[str, bytes]:
    """Build the wheel in a copy of the project, and return its name and content.

    Raises:
        Unavailable: if the interpreter is gone, or the project does not build.
    """
    interpreter = find(python)
    if interpreter is None or ingredients.root is None:
        raise Unavailable(f"this host has no Python {python} any more to build the project by")
    with tempfile.TemporaryDirectory(prefix="forkbench-wheel-") as name:
        folder = Path(name)
        write_files(ingredients.content, folder / "project", ingredients.root)
        by = virtualenv(interpreter.path, folder / "by")
        build_wheel(by, folder / "project", folder / "made", folder / "tools", ingredients.install)
        wheel = next((folder / "made" / "wheel").glob("*.whl"))
        return wheel.name, wheel.read_bytes()
