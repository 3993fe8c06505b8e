"""What tox.ini cannot say.

Cells are made from any Python; pyenv's Pythons are there though its shims hide them; several Pythons that run the tests
in one run of tox share out those that take long.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State
from tox.tox_env.api import ToxEnv
from tox.tox_env.errors import Fail, Skip
from tox.tox_env.info import Info
from tox.tox_env.python.api import Python
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner
from tox.tox_env.register import ToxEnvRegister


class SharedInfo(Info):
    """What tox records of an environment's last setup, without the name: that of another user of it is as good."""

    @contextmanager
    def compare(self, value: Any, section: str, sub_section: str | None = None) -> Iterator[tuple[bool, Any]]:
        """Compare with what was noted, and note it if it differs."""
        if isinstance(value, dict) and "name" in value:
            value = {**value, "name": SharedRunner.id()}
        with super().compare(value, section, sub_section) as found:
            yield found


class SharedRunner(VirtualEnvRunner):
    """Makes one environment for all that name its folder, from whichever Python tox itself runs on.

    tox insists that `py314-spawn-cpu2` is made from a Python 3.14, whatever `base_python` and
    `ignore_base_python_conflict` say, since it reads the version out of the name. And it would make an environment for
    each name, though what runs in them is the same.
    """

    @staticmethod
    def id() -> str:
        """Return the name by which `runner =` selects it."""
        return "shared"

    @classmethod
    def extract_base_python(cls, env_name: str) -> str | None:  # noqa: ARG003 (tox's signature)
        """Find no version in any name."""
        return None

    @property
    def cache(self) -> Info:
        """What was noted of the last setup."""
        return SharedInfo(self.env_dir)

    def setup(self) -> None:
        """Set the environment up, one user of it at a time: the first makes it, the others find it made."""
        folder: Path = self.core["work_dir"]
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{self.env_dir.name}.lock"):
            super().setup()


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make `runner = shared` known to tox."""
    register.add_run_env(SharedRunner)


_runs: list[State] = []
"""The run of tox that is on; a hook that is called before commands is not told."""


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:  # noqa: ARG001 (tox's signature)
    """Have tox look at pyenv's versions too: a shim answers only for those that `pyenv global` or `local` names."""
    _runs[:] = [state]
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(map(str, root.glob("versions/3.*/bin/python")))
    state.conf.options.discover = [*(getattr(state.conf.options, "discover", None) or []), *found]


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """Tell an environment of the tests which Pythons run them in this run of tox: see `tests/conftest.py`.

    Only those count that were asked for and that this host has, so that no share is left to a Python that runs nothing.
    """
    if _is_tested(tox_env.name):
        names = [name for name in _runs[0].envs.iter() if _is_tested(name) and _is_there(_runs[0].envs[name])]
        tox_env.conf["set_env"].update({"BENCH_TESTS_SHARE": " ".join(names)})


def _is_tested(name: str) -> bool:
    return re.fullmatch(r"py3\d+", name) is not None


def _is_there(tox_env: ToxEnv) -> bool:
    try:
        return isinstance(tox_env, Python) and bool(tox_env.base_python)
    except (Skip, Fail):
        return False
