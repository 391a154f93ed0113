"""How good a model is on windows that it never saw, and how certain its metrics are."""
