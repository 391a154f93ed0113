"""What millhand promises, and whether the demo saw it kept."""
