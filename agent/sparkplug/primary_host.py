"""Whether the host application is online for which the node publishes (Sparkplug 3.0.0, 5.4)."""

import orjson

from agent.sparkplug.topics import state_topic


class PrimaryHost:
    """Follows the state of one host application.

    Args:
        host: id of the host application.

    Attributes:
        topic: topic of its state.
        is_online: whether it is online, as far as this connection knows.
    """

    def __init__(self, host: str) -> None:
        self.topic = state_topic(host)
        self.is_online = False
        self._at_ms = -1

    def forget(self) -> None:
        """Take it for offline until it is heard on a new connection."""
        self.is_online = False

    def hear(self, payload: bytes) -> bool:
        """Take note of a state; whether it says that the host is offline.

        A state that is older than the last one is passed over: the will of an earlier connection of
        the host may arrive late.
        """
        try:
            state = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return False
        online = state.get("online") if isinstance(state, dict) else None
        at_ms = state.get("timestamp") if isinstance(state, dict) else None
        if type(online) is not bool or type(at_ms) is not int or at_ms < self._at_ms:
            return False
        self._at_ms = at_ms
        self.is_online = online
        return not online
