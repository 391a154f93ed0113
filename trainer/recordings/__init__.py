"""Recorded plant data: files in, rows, their truth, the windows, and which of them test."""
