"""The commands of `millhand-server`."""
