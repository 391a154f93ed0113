"""Gates of a rollout: whether a candidate is shown to be worse than the champion, or no worse."""
