"""What each signal contributes to an answer: windows mixed with a reference, asked of the model."""
