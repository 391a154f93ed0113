"""The search for the best model: what is tried, by whom it is judged, and what is kept."""
