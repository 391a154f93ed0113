"""Checks of the recorded data before anything is learned from it."""
