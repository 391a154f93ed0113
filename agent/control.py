"""The agent's side of the control plane: its documents go out, retained and with a will.

Topics and documents are the contract in `models.control`; what is desired comes in by the router.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Literal

import orjson

from agent.delivery.outgoing import Outgoing
from agent.mqtt.connection import Will
from agent.mqtt.subscription import Subscription
from agent.mqtt.takeover import Takeover
from models.control.document import Document, timestamp
from models.control.documents import Current, Feedback, Metrics, Status
from models.control.topics import ControlTopics
from serving.mqtt.packets import Received


class Control:
    """Publishes the documents of one gateway.

    Args:
        gateway: id of the gateway.
        post: hands a message to the delivery, which publishes it as soon as there is a connection.

    Attributes:
        topics: the control topics of the gateway.
        desired: the subscription by which the agent is told what to run.
        own_status: the subscription by which it hears of another agent with this gateway id.
        further: subscriptions to what other programs say of themselves.
        started: when this agent was started, as its status says.
        will: what the broker publishes if the agent vanishes.
    """

    def __init__(self, gateway: str, post: Callable[[Outgoing], None]) -> None:
        self.topics = ControlTopics(gateway)
        self._post = post
        self.started = timestamp()
        self._version = version("millhand")
        self.desired = Subscription(self.topics.desired("+"), qos=0, state=True)
        self.own_status = Subscription(self.topics.status, qos=0, state=True, own=True)
        self.further: Sequence[Subscription] = ()
        self.will = Will(self.topics.status, self._status("offline").to_json())

    def online(self) -> None:
        """Say that the agent is there."""
        self._publish(self.topics.status, self._status("online"), retain=True)

    def offline(self) -> None:
        """Say that the agent is about to stop, on purpose."""
        self._publish(self.topics.status, self._status("offline"), retain=True)

    def hear_first(self, messages: list[Received], takeover: Takeover) -> None:
        """Take the statuses of this gateway out of the messages that have arrived, and hear them.

        The broker delivers them at QoS 0, so none has to be acknowledged.
        """
        topic = self.topics.status
        statuses = [one for one in messages if one.topic == topic]
        for one in statuses:
            self.heard(one, takeover)
        if statuses:
            messages[:] = [one for one in messages if one.topic != topic]

    def heard(self, message: Received, takeover: Takeover) -> None:
        """Compare a status of this gateway, which the broker has delivered, with our own."""
        try:
            found = orjson.loads(message.payload)
        except orjson.JSONDecodeError:
            return
        since = found.get("since") if isinstance(found, dict) else None
        if isinstance(since, str):
            is_online, is_live = found.get("state") == "online", not message.retained
            takeover.heard(since, self.started, is_online=is_online, is_live=is_live)

    def current(self, document: Current) -> None:
        """Say what a stream runs."""
        self._publish(self.topics.current(document.stream), document, retain=True)

    def feedback(self, document: Feedback) -> None:
        """Say how an update goes, with the time added."""
        timed = document.model_copy(update={"time": timestamp()})
        self._publish(self.topics.feedback, timed, retain=False)

    def metrics(self, document: Metrics) -> None:
        """Publish the counters, with the times of now and of the start added."""
        times = {"time": timestamp(), "since": self.started}
        self._publish(self.topics.metrics, document.model_copy(update=times), retain=False)

    def _status(self, state: Literal["online", "offline"]) -> Status:
        return Status.model_construct(state=state, version=self._version, since=self.started)

    def _publish(self, topic: str, document: Document, *, retain: bool) -> None:
        self._post(Outgoing(topic, document.to_json(), 1, retain))
