"""What trainer and agent share: bundle, manifest, windows, golden vectors, the error root."""
