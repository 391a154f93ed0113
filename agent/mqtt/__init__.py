"""MQTT on the wire: one connection to the broker, its hot packets, and how it is opened again."""
