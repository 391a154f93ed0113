"""Bytes to readings, and predictions to bytes: one file a dialect."""
