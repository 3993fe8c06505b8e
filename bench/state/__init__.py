"""States of scenarios: surveyed, watched while samples run, and restored between samples.

survey      what a state consists of, or why it cannot be shown to be restorable
restoring   shared memory, semaphores and folders set back to how they were made
watching    attributes, containers, classes and globals of one process, set back or seen to change
folders     snapshots of small folders of a state's own
"""
