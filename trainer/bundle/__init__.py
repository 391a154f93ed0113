"""From a fitted model to a bundle: parity check, budget, golden vectors, manifest and members."""
