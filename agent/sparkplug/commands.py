"""Commands of host applications: a rebirth is granted, everything else is refused and counted."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from agent.sparkplug.topics import NodeTopics
from models.errors import DecodeError
from models.sparkplug.decoder import decode
from models.sparkplug.payload import REBIRTH
from serving.log import Limited
from serving.mqtt.packets import Received

_LEAST_S: Final = 1.0


class Commands:
    """Reads the commands to a node and its devices.

    Args:
        topics: topics of the node.
        clock: monotonic seconds.
        log_interval_s: seconds in which a warning of one kind is logged at most once.

    Attributes:
        refused: commands that were not obeyed, by reason.
        is_rebirth_wanted: whether births were asked for and have not been published since.
    """

    def __init__(
        self, topics: NodeTopics, clock: Callable[[], float], log_interval_s: float
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._topics, self._clock = topics, clock
        self._log = Limited(log_interval_s)
        self.is_rebirth_wanted = False
        self._reborn_s = -_LEAST_S

    def take_rebirth(self) -> bool:
        """Whether births are wanted now. It is so at most once a second."""
        now_s = self._clock()
        if not self.is_rebirth_wanted or now_s - self._reborn_s < _LEAST_S:
            return False
        self.is_rebirth_wanted, self._reborn_s = False, now_s
        return True

    def take(self, message: Received) -> None:
        """Obey a command, or count why not."""
        if message.retained:
            self._refuse("retained", message)  # it was meant for an earlier time
            return
        try:
            metrics = decode(message.payload).metrics
        except DecodeError as exc:
            self._refuse(exc.reason, message)
            return
        is_for_node = message.topic == self._topics.node_commands
        for metric in metrics:
            if is_for_node and metric.name == REBIRTH:
                self.is_rebirth_wanted |= metric.value is True
            else:
                self._refuse("not_writable", message)

    def _refuse(self, reason: str, message: Received) -> None:
        self.refused[reason] += 1
        self._log.warning(
            reason, "Sparkplug command refused", reason=reason, topic=message.topic[:256]
        )
