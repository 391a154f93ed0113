"""What survives a crash of the agent on disk: messages that are in windows, and drift counts."""
