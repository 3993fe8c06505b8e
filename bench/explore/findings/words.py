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
    KILLED: ("is killed", ""),
}
"""What a kind of operation is in words, and how the value that it saw is said."""

_CONDITIONS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("a wake-up by ", {"acquire": "is woken by {it}", "release": "wakes one that waits for {it}"}),
    ("the woken of ", {"acquire": "hears that one has woken from {it}", "release": "has woken from {it}"}),
)
"""What is done to the semaphores that a condition is made of, by what they are called."""

_WAITS: Mapping[str, str] = {
    "acquire": "waits for {it}",
    "lock": "waits for a lock on {it}",
    "join": "waits for {it} to end",
    "receive": "waits for {it} to hold something",
    "send": "waits for room in {it}",
    "sleep": "sleeps",
}
"""What a lane is about to do that cannot."""


def deed(kind: str, label: str, part: int = -1, saw: str = "") -> str:
    """Say what is done: "reads balance: 200"."""
    for start, words in _CONDITIONS:
        if label.startswith(start) and kind in words:
            return words[kind].format(it=label[len(start) :])
    does, result = _DEEDS.get(kind, (f"{kind} {{it}}", ": {saw}"))
    said = does.format(it=_it(label, kind, part)).rstrip()
    return said + (result.format(saw=saw) if saw and result else "")


def waiting(kind: str, label: str, part: int = -1, holder: str = "") -> str:
    """Say what is waited for, and who holds it, if that is known: "waits for lock (held by withdraw)"."""
    words = _WAITS.get(kind)
    it = _it(label, kind, part)
    said = words.format(it=it) if words else f"waits: {deed(kind, label, part)}"
    return said + (f" (held by {holder})" if holder else "")


def _it(label: str, kind: str, part: int) -> str:
    return f"{label}[{part}]" if part >= 0 and kind in ("read", "write") and not label.endswith("]") else label
