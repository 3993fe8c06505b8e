"""Where cells run: engines behind one interface.

    base       the interface `Engine`, and what it takes and returns
    docker     the engine `docker`: cells as containers (`container` follows a running one)
    local      the engine `local`: cells as processes of this host, in the environments that `venvs` makes
    status     a cell's status, from how its main process ended and what it recorded (pure)

An engine's name stands in `bench.matrix.config.ENGINES`; `bench.cli.engines` opens it.
"""
