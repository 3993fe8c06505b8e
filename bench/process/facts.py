"""Facts: what this process was really granted, read from inside its cell."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import sys
import tempfile
from multiprocessing import context
from pathlib import Path

import bench
from bench.process import build
from bench.process.cpus import cpu_count, usable_cpus
from bench.process.seen import fact
from bench.record import Facts
from bench.values import Json

_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # cgroup v1 says "no limit" with the largest number of whole pages


def gather(
    cell: str, *, method_asked: str | None, cpus_asked: int | None, engine: str, seed: int, seen: int | None = None
) -> Facts:
    """Return the facts of this process.

    Args:
        method_asked: `None` if any start method will do, as for a run on the host itself.
        cpus_asked: `None` if the cell is not pinned.
        seen: the number of CPUs that Python is to count; `None` for what is there.
    """
    process_cpus = getattr(os, "process_cpu_count", None)
    return Facts(
        cell=cell,
        python=platform.python_version(),
        implementation=sys.implementation.name,
        method_asked=method_asked,
        method_granted=method_granted(),
        cpus_asked=cpus_asked,
        affinity=usable_cpus(),
        cpus_os=os.cpu_count(),
        cpus_process=process_cpus() if process_cpus else None,
        cpus_usable=cpu_count(),
        engine=engine,
        seed=seed,
        more={**_more(), **({} if seen is None else {"seen": fact(seen)})},
    )


def method_granted() -> str:
    """Return the start method that `multiprocessing` uses by default here, leaving it open to be set."""
    if fixed := multiprocessing.get_start_method(allow_none=True):
        return fixed
    # The default's default is private; `get_start_method()` would fix it, and a program that sets it would then fail.
    default = getattr(getattr(context, "_default_context", None), "_default_context", None)
    return getattr(default, "_name", None) or multiprocessing.get_all_start_methods()[0]


def _more() -> dict[str, Json]:
    return {
        "build": " ".join(sys.version.split()),
        "executable": sys.executable,
        "platform": platform.platform(),
        "kernel": platform.release(),
        **build.facts(),
        "cgroup": cgroup_version(),
        "quota": _quota(),
        "memory_bytes": _limit("memory", "memory.max", "memory.limit_in_bytes"),
        "pids": _limit("pids", "pids.max", "pids.max"),
        "shm_bytes": _size_of("/dev/shm"),
        "tmpdir": tempfile.gettempdir(),
        "bench": bench.__version__,
    }


def cgroup_version() -> int | None:
    """Return the version of control groups that hold the limits; `None` where there are none."""
    if (_CGROUPS / "cgroup.controllers").is_file():
        return 2
    return 1 if _CGROUPS.is_dir() and any(_CGROUPS.iterdir()) else None


def _own_groups() -> dict[str, str]:
    """Return this process's group of each controller; the only one of version 2 is `""`."""
    with contextlib.suppress(OSError):
        rows = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
        return {name: path for _, names, path in rows for name in names.split(",")}
    return {}


def _read(controller: str, version_2: str, version_1: str) -> str | None:
    """Return a file of this process's control group: its own where it shows, else that of the root it sees."""
    two = cgroup_version() == 2
    root = _CGROUPS if two else _CGROUPS / controller
    group = _own_groups().get("" if two else controller, "/").lstrip("/")
    for folder in (root / group, root):
        with contextlib.suppress(OSError):
            return (folder / (version_2 if two else version_1)).read_text().strip()
    return None


def _limit(controller: str, version_2: str, version_1: str) -> int | None:
    text = _read(controller, version_2, version_1)
    return int(text) if text and text.isdecimal() and int(text) < _UNLIMITED else None


def _quota() -> float | None:
    """Return the CPU time quota in CPUs; `None` without one."""
    if cgroup_version() == 2:
        share, _, period = (_read("cpu", "cpu.max", "") or "max").partition(" ")
    else:
        share = _read("cpu", "", "cpu.cfs_quota_us") or "-1"
        period = _read("cpu", "", "cpu.cfs_period_us") or ""
    return int(share) / int(period) if share.isdecimal() and period.isdecimal() and int(period) else None


def _size_of(path: str) -> int | None:
    try:
        found = os.statvfs(path)
    except (OSError, AttributeError):
        return None
    return found.f_blocks * found.f_frsize
