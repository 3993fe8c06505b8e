"""Reports: pure functions from records to lines of text; nothing is reported from memory.

    folder -> loaded.read -> grid, findings, summary -> lines -> terminal

`places` says which cells have something in common, `histogram` draws one observation (standard library alone, since
the pytest plugin draws it inside cells), and `board` shows a matrix while it runs.
"""
