"""Recorded rows from SQL databases."""
