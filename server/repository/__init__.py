"""Triton's repository control: models that are loaded and unloaded by request."""
