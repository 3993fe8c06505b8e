"""Steps as numbers of 64 bits, as they stand on the board: packed, unpacked, and compared without unpacking.

A word, from the lowest bit on: 5 bits of the lane, 5 of the kind, 11 of the object, 11 of the place, 1 that is set if
the step changes nothing, and 30 of the part plus 1.
"""

from __future__ import annotations

from bench.explore.model import ANYTHING, KINDS, OF_ENDS, OF_FILES, OF_NAMES, OWN, READS, WHOLE, Op

_LANE_BITS, _KIND_AT, _OBJECT_AT, _PLACE_AT, _PART_AT = 31, 5, 10, 21, 33
READ = 1 << 32
"""The bit of a step that changes nothing."""

PART = 1 << _PART_AT
"""What is added to a word that concerns a whole object, for its part 0; for part n, n times more."""

KILLED = 31
"""The kind of a step that kills a lane."""

_ANY = 2047
_KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
_READING_KINDS = sum(1 << _KIND_NUMBERS[kind] for kind in READS)
_KILL, _EXIT = _KIND_NUMBERS["kill"], _KIND_NUMBERS["exit"]
_OF_ENDS = sum(1 << _KIND_NUMBERS[kind] for kind in OF_ENDS)
_OF_FILES = sum(1 << _KIND_NUMBERS[kind] for kind in OF_FILES)
_OF_NAMES = sum(1 << _KIND_NUMBERS[kind] for kind in OF_NAMES)
_OWN_KINDS = sum(1 << _KIND_NUMBERS[kind] for kind in OWN)

KILLED_WORD = KILLED << _KIND_AT | _ANY << _OBJECT_AT


def word(kind: str, number: int, part: int = WHOLE) -> int:
    """Pack a step, without its lane and place."""
    known = _ANY if number == ANYTHING else number
    read = READ if kind in READS else 0
    return _KIND_NUMBERS[kind] << _KIND_AT | known << _OBJECT_AT | read | (part + 1) << _PART_AT


def placed(place: int, lane: int) -> int:
    """Pack the lane of a step and its place."""
    return place << _PLACE_AT | lane


def lane_of(packed: int) -> int:
    """Return the lane of a word."""
    return packed & _LANE_BITS


def kind_of(packed: int) -> int:
    """Return the number of a word's kind."""
    return packed >> _KIND_AT & 31


def op_of(packed: int, wants: int) -> Op:
    """Unpack a step."""
    kind = packed >> _KIND_AT & 31
    number = packed >> _OBJECT_AT & _ANY
    return Op(
        "kill" if kind == KILLED else KINDS[kind],
        ANYTHING if number == _ANY else number,
        (packed >> _PART_AT) - 1,
        packed >> _PLACE_AT & 2047,
        wants,
    )


def words_dependent(one: int, one_wants: int, other: int, other_wants: int) -> bool:
    """Return whether two packed steps depend on each other: what `model.dependent` says of the operations."""
    if (_OWN_KINDS >> (one >> _KIND_AT & 31) | _OWN_KINDS >> (other >> _KIND_AT & 31)) & 1:
        return False
    here, there = one >> _OBJECT_AT & _ANY, other >> _OBJECT_AT & _ANY
    if not here or not there:
        return False
    kinds = one >> _KIND_AT & 31, other >> _KIND_AT & 31
    if _ANY in (here, there) or _KILL in kinds:
        return True
    if _EXIT in kinds and _OF_ENDS >> kinds[kinds[0] == _EXIT] & 1:
        return True
    of_names = (_OF_NAMES >> kinds[0] & _OF_FILES >> kinds[1] | _OF_NAMES >> kinds[1] & _OF_FILES >> kinds[0]) & 1
    if of_names or (here == there and _overlap(one >> _PART_AT, other >> _PART_AT)):
        return not _reads(one) or not _reads(other)
    return (here == other_wants and not _reads(one)) or (there == one_wants and not _reads(other))


def _overlap(part: int, other_part: int) -> bool:
    return not part or not other_part or part == other_part


def _reads(packed: int) -> int:
    # Not by the bit READ, which a `try` that is going to fail has as well.
    return _READING_KINDS >> (packed >> _KIND_AT & 31) & 1
