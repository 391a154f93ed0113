"""One stream of models each: from messages to windows to predictions."""
