"""The models that the contenders serve."""
