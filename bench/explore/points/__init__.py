"""Scheduling points: what is hung into `multiprocessing` and `os` so that each shared operation is one step."""
