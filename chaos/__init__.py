"""Faults under load, a fuzz and a soak: what the agent promises, tried for half an hour."""
