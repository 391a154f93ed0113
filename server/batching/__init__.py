"""What waits for a model, and how it is answered: in batches, one after the other."""
