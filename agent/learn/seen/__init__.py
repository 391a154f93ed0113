"""What was seen on the wire: messages, values by their paths, times, qualities, topics."""
