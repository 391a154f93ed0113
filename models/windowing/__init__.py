"""From timed readings to windows, the same on the gateway and in training."""
