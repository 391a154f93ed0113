"""How often a quantity was how large: a part of the document `metrics`."""

from typing import Annotated, Final

from pydantic import Field

from models.control.document import Count, Document

MAX_BOUNDS: Final = 32
"""Most bounds of a histogram; each of them becomes a series of Prometheus."""


class HistogramMetrics(Document):
    """How often a quantity was how large.

    Attributes:
        bounds: upper bounds in ascending order.
        counts: values up to each bound and above the one before it; the last counts the rest.
        total: sum of all values.
    """

    bounds: Annotated[tuple[Count, ...], Field(max_length=MAX_BOUNDS)]
    counts: Annotated[tuple[Count, ...], Field(max_length=MAX_BOUNDS + 1)]
    total: Count
