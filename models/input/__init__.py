"""From an MQTT message to readings: topics, payload formats, qualities and reasons to drop."""
