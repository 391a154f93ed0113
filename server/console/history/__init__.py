"""What is kept of the plant, so that a restart shows the last day: points, model swaps, drift."""
