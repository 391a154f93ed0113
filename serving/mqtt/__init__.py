"""MQTT packets as values and as bytes, and how a program reaches its broker; no client library."""
