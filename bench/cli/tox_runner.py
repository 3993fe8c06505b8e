"""`runner = bench` in a tox.ini: the commands of an environment run in a cell, by `bench cell`.

A plugin of tox, which finds it by its entry point and loads it at each start: what only a run needs is imported late.
No virtual environment is made: what an environment needs is installed where its cell runs.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tox.execute.local_sub_process import LocalSubProcessExecutor
from tox.plugin import impl
from tox.report import HandledError
from tox.tox_env.installer import Installer
from tox.tox_env.runner import RunToxEnv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tox.execute.api import Execute
    from tox.tox_env.package import Package
    from tox.tox_env.register import ToxEnvRegister

_NOT_IN_CELL = ("TOX_", "PIP_", "PYTHONIOENCODING", "__TOX")
"""Beginnings of variables in `set_env` that are tox's own, or for what runs on this host."""


class NoInstaller(Installer[RunToxEnv]):
    """Installs nothing on this host."""

    def _register_config(self) -> None:
        pass

    def installed(self) -> list[str]:
        """Return no package."""
        return []

    def install(self, arguments: object, section: str, of_type: str) -> None:
        """Do nothing."""


class BenchRunner(RunToxEnv):
    """Runs the commands of an environment in a cell: `python`, `start_method` and `cpus` say in which."""

    def __init__(self, create_args: Any) -> None:
        self._executor: Execute | None = None
        self._installer: NoInstaller | None = None
        super().__init__(create_args)

    @staticmethod
    def id() -> str:
        """Return the name by which `runner =` selects it."""
        return "bench"

    def register_config(self) -> None:
        """Add the settings; those of a virtual environment mean the same here."""
        super().register_config()
        add = self.conf.add_config
        add("python", str, "", "the Python of the cell, such as 3.14; the environment's name has it as py314 or 3.14")
        add("start_method", str, "", "the start method of the cell; the environment's name has it as a factor")
        add("cpus", str, "", "the CPUs of the cell, such as 2 or quota0.5; the environment's name has them as cpu2")
        add("engine", str, "auto", "where the cell runs: auto, docker, or local")
        add("cell_options", str, "", "further options of bench cell, such as --timeout 60")
        add("deps", list[str], [], "what pip installs for the commands; none leaves it to the bench")
        add("extras", set[str], set(), "extras of the project to install")
        add("skip_install", bool, False, "whether the project itself is left out")  # a default
        add("cell", str, lambda conf, name: self._cell(), "the cell that python, start_method and cpus make")  # noqa: ARG005  # tox's signature
        self.conf.add_constant(["env_python", "envpython"], "the interpreter in the cell", "python3")

    def _cell(self) -> str:
        """Return the name of the cell.

        Raises:
            HandledError: if it is none, with what is missing.
        """
        from bench.cells import parse_cell, parse_python
        from bench.errors import UsageError
        from bench.outcomes import METHODS

        factors = self.name.split("-")
        try:
            python = self.conf["python"] or next(filter(_is_python, factors), "")
            method = self.conf["start_method"] or next((one for one in factors if one in METHODS), "")
            cpus = self.conf["cpus"] or next((one for one in factors if one.startswith(("cpu", "quota"))), "")
            for key, found in (("python", python), ("start_method", method), ("cpus", cpus)):
                if not found:
                    raise UsageError(f"no {key}; set it, or name the environment like py314-spawn-cpu2")
            size = f"cpu{cpus}" if cpus.isdecimal() else cpus
            return parse_cell(f"{parse_python(python).tag}-{method}-{size}").name
        except UsageError as error:
            raise HandledError(f"[testenv:{self.name}] runner = bench: {error}") from None

    def _register_package_conf(self) -> bool:
        return False  # the bench builds the project where its cells run

    @property
    def _external_pkg_tox_env_type(self) -> str:
        return "virtualenv-cmd-builder"

    @property
    def _package_tox_env_type(self) -> str:
        return "virtualenv-pep-517"

    def _build_packages(self) -> list[Package]:
        return []

    @property
    def runs_on_platform(self) -> str:
        """The platform of this host, on which `bench cell` runs."""
        return sys.platform

    @property
    def executor(self) -> Execute:
        """What starts `bench cell`."""
        if self._executor is None:
            self._executor = LocalSubProcessExecutor(self.options.is_colored)
        return self._executor

    @property
    def installer(self) -> NoInstaller:
        """What installs nothing on this host."""
        if self._installer is None:
            self._installer = NoInstaller(self)
        return self._installer

    def _default_pass_env(self) -> list[str]:
        """Return what `bench cell` needs of this host; none of it comes into the cell."""
        own = ["DOCKER_*", "PIP_*", "PYENV_ROOT", "REQUESTS_CA_BUNDLE", "SSL_CERT_*", "TMPDIR", "XDG_CACHE_HOME"]
        return [*super()._default_pass_env(), *own]

    @property
    def _allow_externals(self) -> list[str]:
        return ["*"]  # `bench cell` is the only program that is started here

    def execute_async(self, cmd: Sequence[Path | str], *args: Any, **kwargs: Any) -> Any:
        """Run a command in the cell; the arguments are those of each version of tox."""
        cwd = kwargs.get("cwd") or next((one for one in args if isinstance(one, Path)), None)
        kwargs = {key: item for key, item in kwargs.items() if key != "cwd"}
        root = self.core["tox_root"]
        args = tuple(root if isinstance(one, Path) else one for one in args)
        if not any(isinstance(one, Path) for one in args):
            kwargs["cwd"] = root
        return super().execute_async(self._in_cell([str(one) for one in cmd], cwd or root), *args, **kwargs)

    def _in_cell(self, command: Sequence[str], cwd: Path) -> list[str]:
        """Return the command of this host that runs a command in the cell, in the same folder of the project.

        Raises:
            HandledError: if that folder is outside of the project.
        """
        root: Path = self.core["tox_root"]
        if not cwd.is_relative_to(root):
            raise HandledError(f"[testenv:{self.name}] change_dir {cwd} is outside of {root}, which is what a cell has")
        words = [_relative(word, root, cwd) for word in command]
        if cwd != root:
            words = ["sh", "-c", 'cd "$0" && exec "$@"', str(cwd.relative_to(root)), *words]
        set_env = self.conf["set_env"]
        variables = [f"{name}={set_env.load(name)}" for name in set_env if not name.startswith(_NOT_IN_CELL)]
        own = ["env", *variables] if variables else []
        options = ["--engine", self.conf["engine"], *self._requirements(), *shlex.split(self.conf["cell_options"])]
        return [sys.executable, "-m", "bench", "cell", self.conf["cell"], *options, "--", *own, *words]

    def _requirements(self) -> list[str]:
        deps, extras = self.conf["deps"], sorted(self.conf["extras"])
        skip = self.conf["skip_install"]
        if not deps and not extras and not skip:
            return []  # the bench finds out what the tests need
        itself = [] if skip else [f".[{','.join(extras)}]" if extras else "."]
        return [word for one in [*itself, *deps] or [""] for word in ("--requirement", one)]


def _is_python(factor: str) -> bool:
    from bench.cells import parse_python
    from bench.errors import UsageError

    try:
        return bool(parse_python(factor))
    except UsageError:
        return False


def _relative(word: str, root: Path, cwd: Path) -> str:
    """Return a word of a command; a path of this host below the project is one from the folder that it runs in."""
    if word == str(root) or word.startswith(f"{root}{os.sep}"):
        return os.path.relpath(word, cwd)
    return word


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make `runner = bench` known to tox."""
    register.add_run_env(BenchRunner)
