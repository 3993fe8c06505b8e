"""Where cells run: engines behind one interface (`base`), in containers or as processes of this host."""
