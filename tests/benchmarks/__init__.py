"""Benchmarks: ratios measured in one run, printed, never asserted. `python -m tests.benchmarks [NAME...]` runs them.

Each compares alternating measurements of two things, so that a noisy machine hits both alike.
"""
