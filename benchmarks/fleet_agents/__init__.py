"""A fleet of real agents on loopback, under rollouts and faults."""
