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
        most: how many nodes are asked in one second, all inputs together.
    """

    def __init__(
        self,
        reconnector: Reconnector,
        pipelines: Sequence[Pipeline],
        clock: Callable[[], float],
        most: int,
    ) -> None:
        self._asked = self._put_off = 0
        self._most = most
        self._reconnector, self._pipelines = reconnector, pipelines
        self._clock = clock

    def counted(self) -> dict[str, int]:
        """How many requests were published, and how often one was put off because of the limit."""
        return {"asked": self._asked, "put_off": self._put_off}

    def tick(self) -> None:
        """Ask, while there is a connection; to be called about once a second."""
        connection = self._reconnector.connection
        if not self._reconnector.is_up or connection is None:
            return
        now_s = self._clock()
        requests: dict[str, bytes] = {}
        put_off = 0
        for part in self._pipelines:
            found = part.memories.requests(now_s, self._most - len(requests))
            requests.update(found.asked)
            put_off += found.put_off
        for topic, payload in requests.items():
            connection.publish(Publish(topic, payload, _QOS))
        self._asked += len(requests)
        self._put_off += put_off
        if requests:
            first = next(iter(requests))
            log.info(
                "nodes asked for their births", nodes=len(requests), topic=first, put_off=put_off
            )
