"""Which windows judge a model, and how sure the figures are."""
