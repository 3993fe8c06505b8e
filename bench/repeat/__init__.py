"""Repeat mode: each sample in a fresh interpreter, under one start method, with a deadline."""
