"""The pause after a death by a model: what is desired is heard before the model is used again.

    connect ──► subscribe to `desired` ──► a second for retained documents ──► one update
                                                                  │
    replay the journal, connect anew, answer  ◄───────────────────┘

Without it an agent could die of the same reading again and again, and neither a push nor a
revocation would reach it (ADR 23). Readings that arrive meanwhile are not acknowledged, so that the
broker delivers them again afterwards; those at QoS 0 are lost, as they are while an agent is down.
"""

from collections.abc import Callable, Iterable
from typing import Final

from agent.commands import Commands
from serving import log
from serving.mqtt.packets import Received
from serving.updates.updater import Updater

HEAR_S: Final = 1.0
"""Seconds for retained documents to arrive, once the broker has answered SUBSCRIBE."""
MAX_S: Final = 8.0
"""Seconds after that answer at which the pause ends, even if an update is still under way."""


class Hold:
    """Decides how long nothing is inferred. All methods belong to the hot thread.

    Args:
        command: takes a message that may be for the gateway itself.
        commands: keeps `desired` documents back that follow on another too soon.
        updater: brings the streams to what is desired.
        clock: monotonic seconds.

    Attributes:
        is_on: whether nothing may be inferred yet.
    """

    def __init__(
        self,
        command: Callable[[Received], bool],
        commands: Commands,
        updater: Updater,
        clock: Callable[[], float],
    ) -> None:
        self.is_on = False
        self._command = command
        self._commands = commands
        self._updater = updater
        self._clock = clock
        self._streams: tuple[str, ...] = ()
        self._recover: Callable[[], None] = lambda: None
        self._subscribed_s: float | None = None
        self._has_asked = False

    def begin(self, streams: Iterable[str], recover: Callable[[], None]) -> None:
        """Pause, if there is a stream whose model the run before has died of.

        Args:
            streams: those streams; without one, `recover` is called at once.
            recover: replays the journal, after which the agent serves.
        """
        self._streams, self._recover = tuple(streams), recover
        self.is_on = bool(self._streams)
        if not self.is_on:
            recover()
            return
        log.warning("waiting for what is desired before a model is used", streams=self._streams)

    def hear(self, messages: list[Received]) -> None:
        """Take the commands among the messages that have arrived, and drop all others."""
        for message in messages:
            self._command(message)
        messages.clear()

    def is_over(self, *, is_subscribed: bool) -> bool:
        """Whether everything has been heard; to be called once a turn.

        Args:
            is_subscribed: whether the broker has answered SUBSCRIBE on the connection of now.
        """
        now_s = self._clock()
        if not is_subscribed:
            self._subscribed_s = None
            return False
        if self._subscribed_s is None:
            self._subscribed_s = now_s
        waited_s = now_s - self._subscribed_s
        if waited_s < HEAR_S:
            return False
        if not self._has_asked:
            self._has_asked = True
            self._commands.hurry()  # a push right after the retained document counts as well
            self._updater.hurry(self._streams)
        return waited_s > MAX_S or not self._updater.is_under_way(self._streams)

    def end(self) -> None:
        """Replay the journal; to be called while there is no connection."""
        self.is_on = False
        self._recover()
