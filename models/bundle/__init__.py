"""The bundle: manifest, archive, golden vectors, and the reference of the training data."""
