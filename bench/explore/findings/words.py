"""What a step is in words: "reads balance: 200", "waits for lock (held by withdraw)"."""

from __future__ import annotations

from bench.explore.findings.schedule import KILLED

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEEDS: Mapping[str, tuple[str, str]] = {
    "read": ("reads {it}", ": {saw}"),
    "write": ("writes {it}", ": {saw}"),
    "acquire": ("acquires {it}", ""),
    "try": ("tries {it}", ": {saw}"),
    "release": ("releases {it}", ""),
    "send": ("sends into {it}", ": {saw}"),
    "receive": ("receives from {it}", ": {saw}"),
    "poll": ("polls {it}", ": {saw}"),
    "close": ("closes {it}", ""),
    "put": ("puts into {it}", ": {saw}"),
    "feed": ("feeds {it}", ": {saw}"),
    "begin": ("begins", ""),
    "start": ("starts {it}", ""),
    "join": ("joins {it}", ""),
    "exit": ("ends", ": {saw}"),
    "kill": ("kills {it}", ""),
    "alive": ("asks if {it} is alive", ": {saw}"),
    "sleep": ("sleeps", ": {saw}"),
    "look": ("looks at {it}", ": {saw}"),
    "change": ("changes {it}", ": {saw}"),
    "lock": ("locks {it}", ""),
    "unlock": ("unlocks {it}", ""),
    "line": ("runs on", ": {saw}"),
    "time": ("reads the clock", ": {saw}"),
    "scan": ("looks at {it}", ": {saw}"),
    "move": ("changes {it}", ": {saw}"),
    KILLED: ("is killed", ""),
}
"""Each kind of operation in words, and how the value that it saw follows."""

FILE_DEEDS = frozenset(
    {
        "asks for the place in",
        "changes the mode of",
        "changes the owner of",
        "changes the times of",
        "creates",
        "cuts",
        "empties",
        "links",
        "lists",
        "makes folder",
        "makes link",
        "makes pipe",
        "makes room in",
        "opens",
        "reads from",
        "reads link",
        "removes",
        "removes folder",
        "renames",
        "sets the place in",
        "writes to",
    }
)
"""What is done to files, where a step on one names it in what it saw, in front of what came of it."""

_OF_FILES = ("look", "change", "scan", "move")

_COUNTS = "asks how many {it} has"

_CONDITIONS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("a wake-up by ", {"acquire": "is woken by {it}", "release": "wakes one that waits for {it}"}),
    ("the room in ", {"acquire": "takes room in {it}", "release": "gives room in {it} back", "read": _COUNTS}),
    ("the woken of ", {"acquire": "hears that one has woken from {it}", "release": "has woken from {it}"}),
)
"""Operations on the semaphores that conditions and queues are made of, by how their labels begin."""

_WAITS: Mapping[str, str] = {
    "acquire": "waits for {it}",
    "lock": "waits for a lock on {it}",
    "join": "waits for {it} to end",
    "receive": "waits for {it} to hold something",
    "send": "waits for room in {it}",
    "sleep": "sleeps",
}
"""Each kind of operation in words, of a lane that waits to do it."""


def step_text(kind: str, label: str, part: int = -1, saw: str = "") -> str:
    """Return a step in words: "reads balance: 200"."""
    for start, words in _CONDITIONS:
        if label.startswith(start) and kind in words:
            return words[kind].format(it=label[len(start) :])
    if kind in _OF_FILES:
        deed, _, gave = saw.partition(": ")
        if deed in FILE_DEEDS:
            return f"{deed} {_it(label, kind, part)}" + (
                f"{' ' if _is_name(deed, gave) else ': '}{gave}" if gave else ""
            )
    does, result = _DEEDS.get(kind, (f"{kind} {{it}}", ": {saw}"))
    text = does.format(it=_it(label, kind, part)).rstrip()
    return text + (result.format(saw=saw) if saw and result else "")


def _is_name(deed: str, gave: str) -> bool:
    """Return whether what came of a deed is the other name that it is about: "renames a to b"."""
    return deed in ("renames", "links", "makes link") and gave.startswith(("as ", "to "))


def wait_text(kind: str, label: str, part: int = -1, holder: str = "") -> str:
    """Return a wait in words, with the holder if it is known: "waits for lock (held by withdraw)"."""
    words = _WAITS.get(kind)
    it = _it(label, kind, part)
    text = words.format(it=it) if words else f"waits: {step_text(kind, label, part)}"
    return text + (f" (held by {holder})" if holder else "")


def _it(label: str, kind: str, part: int) -> str:
    return f"{label}[{part}]" if part >= 0 and kind in ("read", "write") and not label.endswith("]") else label
