"""What shared objects, lines and lanes are known by in one process: numbers that all processes agree on."""

from __future__ import annotations

from bench.explore.model import MOST_LANES
from bench.explore.runtime.board import short_key
from bench.explore.runtime.packing import placed
from bench.process.instrument import _short as short_name
from bench.process.instrument import is_users

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from bench.explore.runtime.board import Board

outermost: set[CodeType] = set()
"""Functions in which a process begins: what called them, in a forked one, is what its parent was at."""


class Registry:
    """The numbers that one lane knows; what it does not know it looks up on the board, or adds there.

    `places` gives for a position in a code object, by the address of the code and the instruction, what a word holds
    of it; 0 where the line is not the user's.
    """

    def __init__(self, board: Board, lane: int) -> None:
        self.board, self._lane = board, lane
        self.places: dict[int, int] = {}
        self._codes: list[CodeType] = []  # kept, so that no other comes to their addresses
        self._lines: dict[str, int] = {}
        self._objects: dict[str, int] = {}
        self._origins: dict[str, int] = {}
        self._version = -1
        self._seen = 1
        self._made = 0
        self._labels: dict[str, int] = {}

    def fresh(self) -> None:
        """Begin to count anew what this lane makes."""
        self._made = 0
        self._labels.clear()

    def count_made(self) -> int:
        """Tell how many shared objects were made since."""
        return self._made

    # Lines.

    def place_of(self, frame: FrameType | None) -> int:
        """Give what a word holds of the user's line that `frame` is at, or was called from, and of this lane."""
        places = self.places
        while frame is not None:
            key = (id(frame.f_code) << 16) + frame.f_lasti
            if (found := places.get(key)) is None:
                found = places[key] = self._learn(frame)
            if found:
                return found
            frame = frame.f_back
        return placed(0, self._lane)

    def _learn(self, frame: FrameType) -> int:
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
        """Give the number of an object, which is found, or else registered, by its key."""
        self._look()
        key = short_key(key)
        if (number := self._objects.get(key, 0)) == 0:
            number = self._objects[key] = self._added(key, "", label, counter)
        return number

    def made(self, key: str, label: str, counter: int = 0) -> int:
        """Give the number of an object that this lane has just made: that of the one it made as the same before."""
        self._look()
        self._made += 1
        origin, key = f"{self._lane}.{self._made} {label}"[:60], short_key(key)
        count = self._labels[label] = self._labels.get(label, 0) + 1
        if (number := self._origins.get(origin, 0)) == 0:
            text = label if count == 1 else f"{label} ({count})"
            number = self._origins[origin] = self._added(key, origin, text, counter)
        elif self.board.object_key(number) != key:
            self.board.key_object(number, key)
            self.board.version += 1
        self.board.start_object(number, counter)
        self._objects[key] = number
        return number

    def _added(self, key: str, origin: str, label: str, counter: int) -> int:
        number = self.board.add_object(key, origin, label, counter)
        if not number:
            self.board.note_uncontrolled("more than 1,000 shared objects")
            return 1
        return number

    def lane(self, name: str) -> int:
        """Give the lane of that name, a new one if there is none.

        Raises:
            RuntimeError: if there are too many.
        """
        if (lane := self.board.add_name(name)) < 0:
            self.board.note_uncontrolled(f"more than {MOST_LANES} processes and feeders")
            raise RuntimeError(f"an exploration has at most {MOST_LANES} processes and feeders")
        return lane

    def _look(self) -> None:
        """Read what others have added, and all anew where a key has changed."""
        board = self.board
        if self._version != board.version:
            self._version = board.version
            self._objects.clear()
            self._origins.clear()
            self._seen = 1
        for number in range(self._seen, board.objects):
            self._objects[board.object_key(number)] = number
            if origin := board.object_origin(number):
                self._origins[origin] = number
        self._seen = board.objects
