"""Programs that run in the environments of the peers, not in that of the benchmark."""
