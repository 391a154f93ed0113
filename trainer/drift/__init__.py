"""What the data looked like in training, and how far it may stray before a gateway says so."""
