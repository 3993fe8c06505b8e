"""The numbers of shared objects, lines and lanes, as one process knows them: all processes agree on them."""

from __future__ import annotations

from bench.explore.model import MOST_LANES
from bench.explore.runtime.board import short_key
from bench.explore.runtime.packing import placed
from bench.process.instrument import is_users, short_name

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from bench.explore.runtime.board import Board

outermost: set[CodeType] = set()
"""Functions in which a process begins: what called them, in a forked one, is what its parent was at."""


class Registry:
    """The numbers that one lane knows; what it does not know it looks up on the board, or adds there.

    An object has a key, which differs from schedule to schedule where it is an inode or an address, and a number, which
    does not: an object that is made anew is the n-th that its lane has made under its label, and gets the number of the
    one that was that before (its origin). So the same choices lead to the same numbers, on which replay, and the
    comparison of steps between schedules, depend.

    Only the lane with the baton changes the board, so what a process knows can be out of date only in that others have
    added something, or given a known object another key: `_refresh` reads both before each look-up.

    Attributes:
        places: what a word holds of a position in the code, by the address of the code and the instruction; 0 where
            the line is not the user's. `Runtime.arrive` reads it at each step.
    """

    def __init__(self, board: Board, lane: int) -> None:
        self.board, self._lane = board, lane
        self.places: dict[int, int] = {}
        self._codes: list[CodeType] = []  # kept alive, so that no other code comes to their addresses
        self._lines: dict[str, int] = {}
        self._objects: dict[str, int] = {}
        self._origins: dict[str, int] = {}
        self._version = -1
        self._read = 1
        self._created = 0
        self._labels: dict[str, int] = {}

    def reset(self) -> None:
        """Begin to count anew what this lane makes."""
        self._created = 0
        self._labels.clear()

    def count_created(self) -> int:
        """Return how many shared objects were made since."""
        return self._created

    def is_present(self) -> bool:
        """Return whether the lane takes part in a schedule, be it inside one of its own steps."""
        return bool(self.board.present >> self._lane & 1)

    # Lines.

    def place_of(self, frame: FrameType | None) -> int:
        """Return what a word holds of this lane, and of the user's line that `frame` is at or was called from."""
        places = self.places
        while frame is not None:
            # In huge functions, where `f_lasti` exceeds 2**16, two positions may share a key, and show a wrong line.
            key = (id(frame.f_code) << 16) + frame.f_lasti
            if (found := places.get(key)) is None:
                found = places[key] = self._place_at(frame)
            if found:
                return found
            frame = frame.f_back
        return placed(0, self._lane)

    def _place_at(self, frame: FrameType) -> int:
        self._codes.append(frame.f_code)
        if frame.f_code in outermost:
            return placed(0, self._lane)
        if not is_users(frame.f_code.co_filename):
            return 0
        text = f"{short_name(frame.f_code.co_filename)}:{frame.f_lineno}"
        return placed(self._line(text), self._lane)

    def _line(self, text: str) -> int:
        for number in range(len(self._lines) + 1, self.board.places + 1):
            self._lines.setdefault(self.board.place(number), number)
        if (number := self._lines.get(text, 0)) == 0:
            number = self._lines[text] = self.board.add_place(text)
        return number

    # Objects.

    def object(self, key: str, label: str, counter: int = 0) -> int:
        """Return the number of an object, which is found by its key, or else registered."""
        self._refresh()
        key = short_key(key)
        if (number := self._objects.get(key, 0)) == 0:
            number = self._objects[key] = self._add(key, "", label, counter)
        return number

    def new_object(self, key: str, label: str, counter: int = 0) -> int:
        """Return the number of an object that this lane has just made: that of the one with the same origin before."""
        self._refresh()
        self._created += 1
        origin, key = f"{self._lane}.{self._created} {label}"[:60], short_key(key)
        count = self._labels[label] = self._labels.get(label, 0) + 1
        if (number := self._origins.get(origin, 0)) == 0:
            text = label if count == 1 else f"{label} ({count})"
            number = self._origins[origin] = self._add(key, origin, text, counter)
        elif self.board.object_key(number) != key:
            self.board.key_object(number, key)
            self.board.version += 1
        self.board.start_object(number, counter)
        self._objects[key] = number
        return number

    def _add(self, key: str, origin: str, label: str, counter: int) -> int:
        number = self.board.add_object(key, origin, label, counter)
        if not number:
            self.board.note_uncontrolled("more than 1,000 shared objects")
            return 1
        return number

    def _refresh(self) -> None:
        """Read what other lanes have added; read everything anew where a key has changed."""
        board = self.board
        if self._version != board.version:
            self._version = board.version
            self._objects.clear()
            self._origins.clear()
            self._read = 1
        for number in range(self._read, board.objects):
            self._objects[board.object_key(number)] = number
            if origin := board.object_origin(number):
                self._origins[origin] = number
        self._read = board.objects

    # Lanes.

    def lane(self, name: str) -> int:
        """Return the lane of that name, a new one if there is none.

        Raises:
            RuntimeError: if there are too many.
        """
        if (lane := self.board.add_name(name)) < 0:
            self.board.note_uncontrolled(f"more than {MOST_LANES} processes and feeders")
            raise RuntimeError(f"an exploration has at most {MOST_LANES} processes and feeders")
        return lane
