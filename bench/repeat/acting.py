"""A scenario as one sample of repeat mode: its state made, one process for each actor, then its result."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: each process of a sample imports this

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def play(kind: Any, actors: Sequence[str], mp: Any) -> tuple[object, dict[str, list[str]]]:
    """Play a scenario once; return its result, and what its actors left in the state, by kind: `locks`, `items`."""
    state = kind(mp)
    restorer = _restorer(state)
    processes = [mp.Process(target=_act, name=name, args=(state, name)) for name in actors]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    result = state.result()
    left = {} if restorer is None else restorer.inspect()
    return result, {"locks": left[0].locks, "items": left[0].items} if left else {}


def _restorer(state: object) -> Any:
    from bench.state.restoring import Restorer
    from bench.state.survey import Unrestorable

    try:
        return Restorer([state])
    except Unrestorable:
        return None


def _act(state: Any, name: str) -> None:
    if (returned := getattr(state, name)()) is not None:
        raise TypeError(f"the actor {name} returns {returned!r:.100}; what an actor observes belongs into the state")
