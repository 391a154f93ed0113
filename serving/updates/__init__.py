"""How a stream gets from one bundle to the next."""
