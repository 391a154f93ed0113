"""The section `[metrics]` of the configuration."""

from models.settings import Section


class Metrics(Section):
    """What Prometheus can read.

    Attributes:
        enabled: whether `GET /metrics` answers.
    """

    enabled: bool = True
