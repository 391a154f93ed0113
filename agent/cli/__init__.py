"""The commands of `millhand-agent` beside `run`."""
