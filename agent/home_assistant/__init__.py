"""Announces predictions to Home Assistant, by MQTT device discovery (ADR 47)."""
