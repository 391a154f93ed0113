"""The streams that are served: which versions answer, and how they are brought up to date."""
