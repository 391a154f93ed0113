"""The results as tables and as a picture."""
