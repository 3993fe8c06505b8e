"""Schedules as people and files know them: recorded, named, written, and followed again."""
