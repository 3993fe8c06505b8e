"""Fourteen small programs of several processes, each with what holds of it everywhere and what does not.

     1  `processes:own_run`               a `Process` subclass, and whose child it is
     2  `memory:list_of_the_parent`       what a child appends to a list, its parent never sees
     3  `memory:shared_array`             an `Array` is the same memory on both sides
     4  `memory:shared_value_and_array`   a `Value` beside it
     5  `pipes:child_to_parent`           one way through a pipe
     6  `pipes:both_ways`                 both ways through one
     7  `pipes:one_after_the_other`       two senders that take turns on one end
     8  `pipes:producer_and_consumer`     a stream with an end
     9  `pipes:two_at_once`               two senders at once on one end; `pipes:TwoSenders` as a scenario
    10  `queues:before_and_after_the_join`  what a queue holds outlives its writer;
                                          `queues:PutAndGet` as a scenario
    11  `queues:drained_first`            drain, then join; `queues:joined_first` hangs
    12  `descriptors:code_through_os_pipe`  a descriptor is a number; `descriptors:code_through_connection` is portable
    13  `account:without_lock`            a race, reported; `account:AccountWithoutLock` as a scenario
    14  `account:with_lock`               the same under a lock, asserted; and `account:with_lock_unequal`;
                                          `account:AccountWithLock` as a scenario

Each module is also a script: `python -m bench.demos.account spawn` prints what its programs return.
The scenarios are for stress and exploration: one step each, over which processes race at once.
"""
