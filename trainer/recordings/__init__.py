"""Recorded plant data: files in, rows, their truth and the windows they make."""
