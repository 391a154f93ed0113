"""A simulated water-circulation plant, and one command that runs all of millhand on it."""
