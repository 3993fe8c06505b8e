"""The matrix: Python x start method x CPUs, from a configuration to the records of every cell. Host only.

    config, discovery -> plan -> placement -> run -> engines -> records

`plan` and `placement` are pure; `run` has the one loop that owns the state of a running matrix; `engines` carry out
cells in what `images` made for them. No image of a cell holds this folder.
"""
