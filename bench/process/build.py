"""The build of this interpreter: its C library, architecture and distribution, and whether it has the GIL."""

from __future__ import annotations

import contextlib
import os
import platform
import struct
import sys
from pathlib import Path

from bench.values import Json


def facts() -> dict[str, Json]:
    """Return the facts of this interpreter's build."""
    return {
        "libc": libc(),
        "architecture": architecture(),
        "distribution": distribution(),
        "free_threaded": is_free_threaded(),
        "gil": gil_is_on(),
    }


def libc() -> str | None:
    """Return the C library that this process has loaded, such as `glibc 2.41` or `musl`; `None` if unknown."""
    with contextlib.suppress(ValueError, OSError, AttributeError):
        if text := os.confstr("CS_GNU_LIBC_VERSION"):
            return text
    with contextlib.suppress(OSError):
        if "/ld-musl-" in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace"):
            return "musl"
    return None


def architecture() -> str:
    """Return the architecture that this interpreter was built for; that of the kernel may be wider."""
    triple = str(getattr(sys.implementation, "_multiarch", ""))
    machine = triple.partition("-")[0] or platform.machine()
    return "i386" if machine in ("x86_64", "i686") and struct.calcsize("P") == 4 else machine


def distribution() -> str | None:
    """Return the distribution, its version and its code name, such as `debian 12 bookworm`; `None` if none is named."""
    with contextlib.suppress(OSError):
        found = platform.freedesktop_os_release()
        words = (found.get(name, "") for name in ("ID", "VERSION_ID", "VERSION_CODENAME"))
        return " ".join(word for word in words if word) or None
    return None


def is_free_threaded() -> bool:
    """Return whether this interpreter was built without the global interpreter lock."""
    return "t" in getattr(sys, "abiflags", "")


def gil_is_on() -> bool:
    """Return whether the global interpreter lock is on now: an extension module may have switched it on."""
    asked = getattr(sys, "_is_gil_enabled", None)
    return True if asked is None else bool(asked())
