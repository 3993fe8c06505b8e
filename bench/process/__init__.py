"""Processes: started, patched and watched in groups, with what the operating system tells of them and what they leave.

    main                        the main module of every sample and group
    groups, watcher, messages   a group: started, listened to and ended; what crosses between it and its observer
    patience                    how long nothing may move, less what its processes wait for a CPU
    folders, journal            where its processes write, and what they record there
    instrument, evidence        patches of the processes of a sample, and the outcome that follows from the records
    residents                   actors that stay from sample to sample
    tree, stacks, dumping       process trees, and the stacks of live processes
    ended, descriptors, cpus,   single questions to the operating system
      shared_names
    owners, death_signal        by which what a killed process made is recognised, and ends with it
    startup, agreed, words      what every Python of a cell and of a sample imports first
    facts                       what a cell was really granted

Linux gives most of this through `/proc`; elsewhere what needs it says so.
"""
