"""The reference of a bundle: the distribution of the training data, and the limits of drift."""
