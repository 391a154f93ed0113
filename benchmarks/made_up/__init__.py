"""Made-up plants on which the right answer is known, and what the trainer makes of them."""
