"""What the agent asks the broker to deliver."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter to subscribe to.

    Attributes:
        filter: topic filter, with `+` and `#`.
        qos: highest quality of service at which the broker shall deliver, 0 or 1.
        state: whether the retained message is wanted: where the topic carries a state, or readings
            that may be held for their signals (MQTT 5; 3.1.1 always sends it).
        is_asked_again: whether only a broker that does not have the subscription shall send the
            retained message.
        own: whether messages that this client id has published are delivered too (MQTT 5; 3.1.1
            always delivers them).
    """

    filter: str
    qos: int
    state: bool = False
    own: bool = False
    is_asked_again: bool = False
