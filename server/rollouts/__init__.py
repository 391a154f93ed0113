"""Rollouts of bundles over a fleet: what is decided, on which numbers, and who is told."""
