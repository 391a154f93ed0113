"""How good a model is on windows it never saw, and how sure the figures are."""
