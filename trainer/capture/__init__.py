"""Capture: messages of a broker become rows of a recording."""
