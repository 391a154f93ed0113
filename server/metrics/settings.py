"""The section `[metrics]` of the configuration."""

from models.settings import Seconds, Section


class Metrics(Section):
    """What Prometheus can read.

    Attributes:
        enabled: whether `GET /metrics` answers.
        fleet: whether `GET /metrics/fleet` answers as well, where there is a section `[console]`.
        fleet_silent_s: seconds after which the counters of a gateway that tells no new ones are
            left out; longer than `limits.metrics_s` of every gateway.
        fleet_gone_s: seconds after which a gateway that stays offline has no series any more.
    """

    enabled: bool = True
    fleet: bool = True
    fleet_silent_s: Seconds = 60.0
    fleet_gone_s: Seconds = 7 * 86_400.0
