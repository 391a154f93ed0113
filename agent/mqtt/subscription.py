"""What the agent asks the broker to deliver."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter to subscribe to.

    Attributes:
        filter: topic filter, with `+` and `#`.
        qos: highest quality of service at which the broker shall deliver, 0 or 1.
        state: whether the topic carries a state, so that the retained message is wanted. A live
            signal is not: its retained value is of unknown age (MQTT 5; 3.1.1 always sends it).
        own: whether messages that the connection itself publishes come back too (No Local).
    """

    filter: str
    qos: int
    state: bool = False
    own: bool = False
