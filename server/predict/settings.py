"""Settings of the paths that take rows of readings."""

from models.settings import Count, Section


class Predict(Section):
    """What a request with rows may bring.

    Attributes:
        max_rows: rows of readings that a request may have; beyond, it is refused with 413.
    """

    max_rows: Count = 10_000
