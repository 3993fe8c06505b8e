"""Builds a project and puts it in place, in four steps that are commands. Needs pip and the standard library alone.

    wheel SOURCE MADE TOOLS     build the wheel of SOURCE with the build requirements in TOOLS
    install MADE SITE [EXTRAS]  install that wheel into MADE, and of what it requires what SITE does not have
    overlay MADE CHECKOUT       add to the packages in CHECKOUT what only the build makes: extensions, version files
    put MADE SITE BIN           move what was installed to SITE, and link its scripts in BIN

A test that imports a package from the checkout so finds what an installed one has, and none of the steps changes
a file that was there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

RETRIED = re.compile(r"No module named|Cannot import|BackendUnavailable|not found|[Cc]ould not find")
"""What a build says that lacks a requirement. Some are asked of the build backend alone: pip's own isolation does."""


def main(arguments: list[str]) -> int:
    """Carry out one step, and return its exit status."""
    step, *rest = arguments
    steps: dict[str, Callable[..., int]] = {"wheel": wheel, "install": install, "overlay": overlay, "put": put}
    return steps[step](*rest)


def wheel(source: str, made: str, tools: str) -> int:
    """Build the wheel, without the isolation that would fetch the build's requirements once more."""
    out = Path(made, "wheel")
    if list(out.glob("*.whl")):
        return 0
    environment = {
        **os.environ,
        "PYTHONPATH": tools,
        "PATH": f"{Path(tools, 'bin')}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    first = _pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(out), source, env=environment)
    if first.returncode == 0 or not RETRIED.search(first.stdout):
        return _told(first)
    return _told(_pip("wheel", "--no-deps", "-w", str(out), source))


def install(made: str, site: str, extras: str = "") -> int:
    """Install the wheel, and then what it requires that is not there; that is little, since most was there before."""
    built = next(Path(made, "wheel").glob("*.whl"))
    prefix = Path(made, "prefix")
    done = _pip("install", "--no-deps", "--ignore-installed", "--no-compile", "--prefix", str(prefix), str(built))
    if done.returncode:
        return _told(done)
    home = next(prefix.rglob("*.dist-info")).parent
    wanted = f"{built}[{extras}]" if extras else str(built)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(home), site])}
    done = _pip("install", "--no-compile", "--prefix", str(prefix), wanted, env=environment)
    if done.returncode:
        return _told(done)
    target = Path(made, "site")
    for folder in {found.parent for found in prefix.rglob("*.dist-info")}:
        shutil.copytree(folder, target, dirs_exist_ok=True)
    for scripts in prefix.rglob("bin"):
        if scripts.parent == prefix or scripts.parent.name == "local":
            shutil.copytree(scripts, target / "bin", dirs_exist_ok=True)
    shutil.rmtree(prefix)
    return 0


def overlay(made: str, checkout: str) -> int:
    """Add to each package of the checkout the files that its wheel alone has."""
    built = next(Path(made, "wheel").glob("*.whl"))
    with zipfile.ZipFile(built) as archive:
        names = [name for name in archive.namelist() if "/" in name and not name.endswith("/")]
        for top in {name.split("/")[0] for name in names if f"{name.split('/')[0]}/__init__.py" in names}:
            first = archive.read(f"{top}/__init__.py")
            for folder in _same(Path(checkout), top, first):
                for name in (one for one in names if one.startswith(f"{top}/")):
                    place = folder.parent / name
                    if not place.exists():
                        place.parent.mkdir(parents=True, exist_ok=True)
                        place.write_bytes(archive.read(name))
    return 0


def _same(checkout: Path, top: str, first: bytes) -> list[Path]:
    """Return the folders of the checkout that hold the package: there may be one for each version of Python."""
    places = [found.parent for found in checkout.rglob(f"{top}/__init__.py")]
    return [place for place in places if (place / "__init__.py").read_bytes() == first]


def put(made: str, site: str, scripts: str) -> int:
    """Move what was installed to where cells look for it, in place of another version of the same."""
    new = Path(made, "site")
    names = {_name(found) for found in new.glob("*.dist-info")}
    for found in list(Path(site).glob("*.dist-info")):
        if _name(found) in names:
            _remove(found)
    shutil.copytree(new, site, dirs_exist_ok=True)
    for script in Path(site, "bin").glob("*"):
        link = Path(scripts, script.name)
        if not link.exists() and not link.is_symlink():
            link.symlink_to(script)
    return 0


def _name(metadata: Path) -> str:
    return re.sub(r"[-_.]+", "-", metadata.name.split("-")[0]).lower()


def _remove(metadata: Path) -> None:
    """Remove an installed distribution by its own list of files."""
    try:
        lines = (metadata / "RECORD").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        path = metadata.parent / line.rsplit(",", 2)[0].strip('"')
        if path.is_file() and metadata.parent in path.resolve().parents:
            path.unlink()
    shutil.rmtree(metadata, ignore_errors=True)


def _pip(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False, env=env
    )


def _told(done: subprocess.CompletedProcess[str]) -> int:
    if done.returncode:
        print(done.stdout, flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
