"""What the account looks like without a main guard: importing it starts a process, in each child as well."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext


def work(amount: int) -> int:
    return amount


def opening_balance(mp: DefaultContext) -> int:
    """Return 200, which is the right balance, although no child gets as far as its work."""
    child = mp.Process(target=work, args=(1,), name="Deposits")
    child.start()
    child.join()
    return 200


started = multiprocessing.Process(target=work, args=(1,), name="Started by the import")
started.start()
started.join()
