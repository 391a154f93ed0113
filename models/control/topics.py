"""The topics of the control plane, six a gateway.

    millhand/<gateway>/status              retained, and the will: online or offline
    millhand/<gateway>/desired/<stream>    retained, written by `millhand-trainer push`
    millhand/<gateway>/current/<stream>    retained: what the stream really runs
    millhand/<gateway>/evidence/<stream>   retained: how a model in the shadow compares
    millhand/<gateway>/feedback            how an update goes, and how it ended
    millhand/<gateway>/metrics             counters

`desired` and `current` are one document a stream (ADR 4), so that selecting one stream never
forgets another. What they carry is in `models.control.documents`.
"""

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "millhand"


@dataclass(frozen=True, slots=True)
class ControlTopics:
    """The control topics of one gateway, or with `+` the topic filters for all gateways.

    Attributes:
        gateway: id of the gateway, or `+` for every gateway.
    """

    gateway: str

    @classmethod
    def of(cls, topic: str) -> "ControlTopics":
        """The topics of the gateway that a control topic belongs to.

        Raises:
            ValueError: `topic` is not a control topic.
        """
        prefix, *levels = topic.split("/")
        if prefix != PREFIX or len(levels) not in (2, 3):
            raise ValueError(f"{topic} is not a topic of {PREFIX}/<gateway>/")
        return cls(levels[0])

    @property
    def base(self) -> str:
        """The level above all of them, without a slash at the end."""
        return f"{PREFIX}/{self.gateway}"

    @property
    def status(self) -> str:
        """Whether the gateway is online."""
        return f"{self.base}/status"

    @property
    def feedback(self) -> str:
        """How updates go."""
        return f"{self.base}/feedback"

    @property
    def metrics(self) -> str:
        """Counters of the agent."""
        return f"{self.base}/metrics"

    def desired(self, stream: str) -> str:
        """What a stream should run; `+` for every stream."""
        return f"{self.base}/desired/{stream}"

    def current(self, stream: str) -> str:
        """What a stream really runs; `+` for every stream."""
        return f"{self.base}/current/{stream}"

    def evidence(self, stream: str) -> str:
        """How a model in the shadow of a stream compares; `+` for every stream."""
        return f"{self.base}/evidence/{stream}"

    def stream_desired_by(self, topic: str) -> str | None:
        """The stream whose `desired` topic this is, None for any other topic."""
        base, _, stream = topic.rpartition("/")
        return stream if base == f"{self.base}/desired" else None
