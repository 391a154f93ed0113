"""The experiments: their cases, and how each is measured."""
