"""Settings of the paths that take rows of readings."""

from models.settings import Count, Section


class Predict(Section):
    """What a request with rows may bring.

    Attributes:
        max_rows: rows of readings that a request may have; beyond, it is refused with 413.
        max_explained: predictions of a request that name the signals they are due to; the others
            are answered without, and counted as `unexplained`.
    """

    max_rows: Count = 4096
    max_explained: Count = 32
