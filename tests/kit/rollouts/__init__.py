"""Rollouts for tests: plans, and what gateways say of them."""
