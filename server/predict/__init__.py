"""Calls that a person can type: rows of readings in, and out what MQTT would publish."""
