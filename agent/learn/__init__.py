"""Drafts a configuration from what is on the wire: see docs/learn.md."""
