"""What `millhand-agent check --connect` asks of the broker."""
