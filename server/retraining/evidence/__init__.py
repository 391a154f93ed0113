"""What speaks for a retraining: what gateways say, which recordings there are, what serves."""
