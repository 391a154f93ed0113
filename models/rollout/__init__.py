"""Rollouts: signed plans by which a fleet changes to another bundle, group by group."""
