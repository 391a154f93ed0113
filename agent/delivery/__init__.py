"""At-least-once delivery: which inputs wait for which predictions, and what may be acknowledged."""
