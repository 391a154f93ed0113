"""Recorded files and queries to rows: formats, numbers, dates, columns and qualities."""
