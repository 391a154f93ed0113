"""Which files and rows of recorded data a recipe means."""
