"""Stress mode: a scenario's actors in resident processes, hundreds of thousands of samples a second.

`observe` runs many short *fork groups*, each in a fresh interpreter (`launch`, `main`, `coordinator`): states are made
once and gone through again and again by all actors (`resident`, `plan`, `barrier`), results are counted in bulk
(`counting`), and states are put back without being made anew where that can be shown to be right (`bench.state`).
Samples of a group are correlated, which is why rates are given over groups.
"""
