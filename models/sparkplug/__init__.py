"""Payloads of Sparkplug B 3.0.0: read and written without a library (ADR 44)."""
