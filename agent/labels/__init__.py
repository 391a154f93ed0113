"""Late labels: predictions are kept until somebody says what would have been right."""
