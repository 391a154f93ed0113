"""What must survive a crash of the agent, on disk: messages in windows, and counts of drift."""
