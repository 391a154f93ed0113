"""The agent's side of the control plane: its documents go out, retained and with a will.

Topics and documents are the contract in `models.control`; what is desired comes in by the router.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Literal

from agent.delivery.outgoing import Outgoing
from agent.mqtt.connection import Will
from agent.mqtt.subscription import Subscription
from models.control.documents import Current, Document, Feedback, Metrics, Status, timestamp
from models.control.topics import ControlTopics


class Control:
    """Publishes the documents of one gateway.

    Args:
        gateway: id of the gateway.
        post: hands a message to the delivery, which publishes it as soon as there is a connection.

    Attributes:
        topics: the control topics of the gateway.
        desired: the subscription by which the agent is told what to run.
        will: what the broker publishes if the agent vanishes.
    """

    def __init__(self, gateway: str, post: Callable[[Outgoing], None]) -> None:
        self.topics = ControlTopics(gateway)
        self._post = post
        self._started = timestamp()
        self._version = version("millhand")
        self.desired = Subscription(self.topics.desired("+"), qos=0, state=True)
        self.will = Will(self.topics.status, self._status("offline").to_json())

    def online(self) -> None:
        """Say that the agent is there."""
        self._publish(self.topics.status, self._status("online"), retain=True)

    def offline(self) -> None:
        """Say that the agent is about to stop, on purpose."""
        self._publish(self.topics.status, self._status("offline"), retain=True)

    def current(self, document: Current) -> None:
        """Say what a stream runs."""
        self._publish(self.topics.current(document.stream), document, retain=True)

    def feedback(self, document: Feedback) -> None:
        """Say how an update goes, with the time added."""
        timed = document.model_copy(update={"time": timestamp()})
        self._publish(self.topics.feedback, timed, retain=False)

    def metrics(self, document: Metrics) -> None:
        """Publish the counters, with the times of now and of the start added."""
        times = {"time": timestamp(), "since": self._started}
        self._publish(self.topics.metrics, document.model_copy(update=times), retain=False)

    def _status(self, state: Literal["online", "offline"]) -> Status:
        return Status.model_construct(state=state, version=self._version, since=self._started)

    def _publish(self, topic: str, document: Document, *, retain: bool) -> None:
        self._post(Outgoing(topic, document.to_json(), 1, retain))
