"""Measurements on public recordings."""
