"""Graphs that something else has made: read, adapted, tried."""
