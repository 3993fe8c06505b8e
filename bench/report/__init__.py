"""Reports: pure functions from records to lines of text; nothing is reported from memory.

    folder -> loaded.read -> grid, findings, summary -> lines -> terminal

    loaded               a run as read from its folder: what every report of a run is made from
    summary              the whole report of a run: grid, rates, explored, findings, one line
    grid, rates, explored, findings, places    its parts; `places` words which cells have something in common
    status               the exit status of a run
    board                a matrix while it runs
    histogram            one observation, drawn inside cells too and so by the standard library alone
    stories, story       how the findings of an exploration come about
    lines                pieces of text with a style each; `bench.cli.output` prints them

Another format of the whole report goes beside `summary`, and reads records by `loaded`.
"""
