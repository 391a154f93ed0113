"""Asks nodes of Sparkplug B for births that are missing, where the operator allows it."""

from collections.abc import Callable, Sequence
from typing import Final

from agent.mqtt.reconnect import Reconnector
from agent.streams.pipeline import Pipeline
from serving import log
from serving.mqtt.packets import Publish

_QOS: Final = 0  # Sparkplug 3.0.0, tck-id-payloads-ncmd-qos


class Births:
    """Publishes what the inputs of all pipelines have to ask.

    Args:
        reconnector: the connection to the broker.
        pipelines: know what their inputs have to ask.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        reconnector: Reconnector,
        pipelines: Sequence[Pipeline],
        clock: Callable[[], float],
    ) -> None:
        self._reconnector, self._pipelines = reconnector, pipelines
        self._clock = clock

    def tick(self) -> None:
        """Ask, while there is a connection; to be called about once a second."""
        connection = self._reconnector.connection
        if not self._reconnector.is_up or connection is None:
            return
        now_s = self._clock()
        requests = [one for part in self._pipelines for one in part.memories.requests(now_s)]
        for topic, payload in requests:
            connection.publish(Publish(topic, payload, _QOS))
        if requests:
            log.info("nodes asked for their births", nodes=len(requests), topic=requests[0][0])
