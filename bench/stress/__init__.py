"""Stress mode: a scenario's actors in resident processes, hundreds of thousands of samples a second.

    observe, launch             the observer's side: many short fork groups, one after the other
    keeping                     whether findings rest on the samples before them (pure)
    main, coordinator           a group's main process, in a fresh interpreter
    generation, states          states made once, and the actors that go through them again and again
    resident                    an actor's process
    plan, barrier, yielding     which states between two barriers, and where an actor yields in a sample
    counting, messages          results counted in bulk, and what crosses between observer and group

Where that can be shown to be right, states are restored between batches and not made anew, see `bench.state`. Samples
of a group are correlated, which is why rates are given over groups.
"""
