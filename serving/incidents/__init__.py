"""Deaths of a program by one of its models: how they are noted, and what follows from them."""
