"""Demos with something broken in them, which must show: each takes one apart and runs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bench.demos import account, descriptors, memory, pipes, processes, queues

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized
    from multiprocessing.synchronize import Barrier

OPENING = 200


def die(*_: object) -> None:
    os._exit(3)


def idle(*_: object) -> None:
    """Do nothing, and end well."""


def replace(module: object, *names: str, by: Callable[..., object] = die) -> None:
    for name in names:
        setattr(module, name, by)


class DyingReporter(processes.Reporter):
    def run(self) -> None:
        die()


class DyingNumberWriter(descriptors.NumberWriter):
    def run(self) -> None:
        die()


class DyingConnectionWriter(descriptors.ConnectionWriter):
    def run(self) -> None:
        die()


def reporter_dies(mp: DefaultContext) -> object:
    replace(processes, "Reporter", by=DyingReporter)
    return processes.own_run(mp)


def number_writer_dies(mp: DefaultContext) -> object:
    replace(descriptors, "NumberWriter", by=DyingNumberWriter)
    return descriptors.code_through_os_pipe(mp)


def connection_writer_dies(mp: DefaultContext) -> object:
    replace(descriptors, "ConnectionWriter", by=DyingConnectionWriter)
    return descriptors.code_through_connection(mp)


def child_dies_before_it_sends(mp: DefaultContext) -> object:
    replace(pipes, "_say")
    return pipes.child_to_parent(mp)


def partner_dies(mp: DefaultContext) -> object:
    replace(pipes, "_converse")
    return pipes.both_ways(mp)


def workers_die(mp: DefaultContext) -> object:
    replace(pipes, "_sign")
    return pipes.one_after_the_other(mp)


def producer_dies(mp: DefaultContext) -> object:
    replace(pipes, "_produce")
    return pipes.producer_and_consumer(mp)


def consumer_dies(mp: DefaultContext) -> object:
    replace(pipes, "_consume")
    return pipes.producer_and_consumer(mp)


def both_senders_die(mp: DefaultContext) -> object:
    replace(pipes, "_say")
    return pipes.two_at_once(mp)


def appender_dies(mp: DefaultContext) -> object:
    replace(memory, "_append_squares")
    return memory.list_of_the_parent(mp)


def squarer_dies(mp: DefaultContext) -> object:
    replace(memory, "_store_squares")
    return memory.shared_array(mp)


def putter_dies(mp: DefaultContext) -> object:
    replace(queues, "_put")
    queues.PATIENCE_S = 0.5
    return queues.before_and_after_the_join(mp)


def idle_writer(mp: DefaultContext) -> object:
    replace(memory, "_store_both", by=idle)
    return memory.shared_value_and_array(mp)


def idle_account(mp: DefaultContext) -> object:
    replace(account, "_deposit", "_change", by=idle)
    return account.with_lock(mp)


def idle_account_unequal(mp: DefaultContext) -> object:
    replace(account, "_deposit", "_change", by=idle)
    return account.with_lock_unequal(mp)


def account_without_steps(mp: DefaultContext) -> object:
    return account.with_lock_unequal(mp, steps=0)


def read_then_write(balance: Synchronized[int], both_have_read: Barrier, amount: int) -> None:
    """Lose an update for certain: nobody writes before both have read."""
    seen = balance.value
    both_have_read.wait()
    balance.value = seen + amount


def certain_race(mp: DefaultContext) -> object:
    balance, barrier = mp.Value("i", OPENING), mp.Barrier(2)
    children = [mp.Process(target=read_then_write, args=(balance, barrier, amount)) for amount in (1, -1)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return balance.value


def change_then_fail(balance: Synchronized[int], amount: int) -> None:
    with balance.get_lock():
        balance.value += amount
    if amount < 0:
        raise ArithmeticError("the books do not balance")


def right_balance_and_a_failed_child(mp: DefaultContext) -> object:
    balance = mp.Value("i", OPENING)
    for amount in (1, -1):
        child = mp.Process(target=change_then_fail, args=(balance, amount), name=f"Change by {amount}")
        child.start()
        child.join()
    return balance.value
