"""Processes of the operating system: their trees, stacks and remains, and what is hung into them to hear of their ends.

Linux gives most of this through `/proc`; elsewhere what needs it says so.
"""
