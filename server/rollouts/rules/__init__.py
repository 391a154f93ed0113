"""The rules of a rollout, without a clock, a file or a connection of their own."""
