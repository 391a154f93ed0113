"""Recorded files to rows: CSV and Parquet, numbers, dates and columns."""
