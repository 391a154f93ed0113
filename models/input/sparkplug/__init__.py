"""Reads nodes of Sparkplug B as a host does: births, data by alias, deaths."""
