"""Schedules as people and files know them: recorded, named, written, and followed again.

    schedule    a schedule, and the format of its file
    files       which schedules of an observation are written, and where
    following   carrying out a schedule file again, also where the program has changed a little
    words       steps in words

The story of a schedule, as a report shows it, is `bench.report.story`.
"""
