"""The edge node of Sparkplug B: predictions as metrics of devices (ADR 44)."""
