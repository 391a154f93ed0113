"""Whether a bundle must be the same bytes whenever and wherever it is made."""

import os


def reproducible() -> bool:
    """Whether SOURCE_DATE_EPOCH is set: the same recipe and data then give the same bytes."""
    return "SOURCE_DATE_EPOCH" in os.environ
