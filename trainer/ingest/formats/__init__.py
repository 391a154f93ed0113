"""Recorded files that are neither text nor Parquet: workbooks and MATLAB files."""
