"""The matrix: Python x start method x CPUs, from a configuration to the records of every cell. Host only.

    config, discovery -> plan -> placement -> run -> engines -> records

    config      `[tool.bench]` of the project's pyproject.toml
    discovery   this host's Python interpreters
    plan        which cells there are, which run, and why the others do not (pure)
    placement   which waiting cells start now, on which CPUs (pure)
    images/     the images that cells run in: base, content, build
    engines/    where cells run: `docker` and `local` behind one interface (`engines.base`)
    run/        the one loop that owns the state of a running matrix

No image of a cell holds this folder.
"""
