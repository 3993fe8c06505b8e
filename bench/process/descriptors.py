"""What this process has open, as `/proc` shows it."""

from __future__ import annotations

import os


def open_descriptors() -> dict[int, str]:
    """Give each open descriptor with what it leads to; nothing where there is no `/proc`.

    Shared libraries are left out: libffi keeps itself open, for its trampolines.
    """
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return {}
    found = {}
    for number in numbers:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the one that listdir itself had open
            continue
        if ".so." not in target and not target.endswith(".so"):
            found[int(number)] = target
    return found
