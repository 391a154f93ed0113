"""Retraining by consent: proposals, their training, and what follows up to the rollout."""
