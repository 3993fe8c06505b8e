"""The race of `explore_peer`, on threads, as `frontrun` explores it: run by its command, prints one Python literal.

Only the peer's process imports this; the project itself does not depend on `frontrun`.
"""

from __future__ import annotations

import sys
import time
from typing import Any


class Account:
    """A balance that nothing guards."""

    def __init__(self) -> None:
        self.balance = 200


def deposit(account: Account) -> None:
    """Pay in, as often as the command line says."""
    for _ in range(TIMES):
        account.balance += 1


def withdraw(account: Account) -> None:
    """Take out, as often."""
    for _ in range(TIMES):
        account.balance -= 1


def main() -> None:
    """Explore all of it once, then up to the first lost update."""
    import frontrun  # type: ignore[import-not-found,unused-ignore]  # the peer, in its own environment alone

    seen: set[int] = set()

    def note(account: Account) -> bool:
        seen.add(account.balance)
        return True

    def explore(invariant: Any, *, first: bool) -> tuple[float, int]:
        begun = time.perf_counter()
        result = frontrun.explore(
            setup=Account,
            workers=[deposit, withdraw],
            invariant=invariant,
            stop_on_first=first,
            preemption_bound=None,
            reproduce_on_failure=0,
            max_executions=MOST,
        )
        return time.perf_counter() - begun, int(result.num_explored)

    seconds, schedules = explore(note, first=False)
    to_first, _ = explore(lambda account: account.balance == 200, first=True)
    print({"seconds": seconds, "schedules": schedules, "outcomes": sorted(seen), "to_first": to_first})


if __name__ == "__main__":
    TIMES, MOST = int(sys.argv[1]), int(sys.argv[2])
    main()
