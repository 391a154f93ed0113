"""Payloads to readings: one file a dialect."""
