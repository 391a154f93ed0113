"""Rows to a dataset: targets, windows, and the split into training and test part."""
