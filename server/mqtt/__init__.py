"""A connection to the broker, for the page and for the controller of rollouts."""
