"""Payload formats: bytes to readings."""
