"""Strategies: which interleaving comes next, and what is shown once there is none left. Pure."""
