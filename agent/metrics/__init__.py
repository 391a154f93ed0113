"""What the agent has counted: as a document for the broker, and as a text file for Prometheus."""
