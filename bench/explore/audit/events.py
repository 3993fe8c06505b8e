"""Which of the interpreter's audit events are of something that may reach what processes share: pure.

An event comes just before a function of C does what it says. What the points know comes within a point.
"""

from __future__ import annotations

from bench.explore.audit.calls import words

TYPE_CHECKING = False  # as type checkers know it: each audited process imports this

if TYPE_CHECKING:
    from typing import Any

_OF_ITSELF = (
    "array.",
    "builtins.",
    "code.",
    "compile",
    "cpython.",
    "ctypes.",
    "exec",
    "function.",
    "gc.",
    "import",
    "marshal.",
    "object.",
    "pickle.",
    "setopencodehook",
    "sys.",
)
"""Beginnings of events of the interpreter itself: code that is made and run, and the addresses of objects."""

_OTHER_EVENTS_FOLLOW = frozenset(
    words("""
    glob.glob glob.glob/2 os.walk os.fwalk os.chdir os.fchdir os.putenv os.unsetenv pathlib.Path.glob pathlib.Path.rglob
    shutil.copyfile shutil.copymode shutil.copystat shutil.copytree shutil.move shutil.rmtree shutil.make_archive
    shutil.unpack_archive shutil.chown tempfile.mkdtemp tempfile.mkstemp time.sleep urllib.Request
    """)
)
"""Events of functions of Python's, which come down to others; and of what only the process itself sees."""

_READ_ONLY = frozenset({"r", "rb", "rt"})


def is_reaching(event: str, args: tuple[Any, ...], system: tuple[str, ...] = ()) -> bool:
    """Return whether an event may be of something shared.

    Args:
        event: its name.
        args: of the event.
        system: beginnings of paths to files that no test changes.
    """
    if event.startswith(_OF_ITSELF) or event in _OTHER_EVENTS_FOLLOW:
        return False
    if event == "open" and system and args[1] in _READ_ONLY:
        return not str(args[0]).startswith(system)
    return True
