"""Mode explore: real processes that run one at a time, under a scheduler that decides each step.

    launch, observe, replay   the host's side: start an exploration, and make an observation of what it found
    driver/                   the exploring process, and the main modules of the processes that it starts
    audit/                    what reaches shared things past the points: found in a few audited schedules
    points/                   the operations that are steps, patched in every controlled process
    runtime/                  the board that all processes share, and the scheduler that each of them runs
    findings/                 schedules as people and files know them
    search/                   strategies: which interleaving comes next (pure)
    model                     steps, plans and traces, and which steps depend on each other (pure)

Each imports only from those below it.
"""
