"""The measured promises: the limit, the plain way and millhand, side by side in one run."""
