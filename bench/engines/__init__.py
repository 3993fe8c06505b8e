"""Where cells run: engines behind one interface (`bench.engines.base`), in containers or as processes of this host."""
