"""`millhand-agent learn`: listens to a broker, and prints a draft of the configuration."""
