"""Recognises that another agent has the identity of this one: a gateway's card that was cloned.

A broker lets one client of an id be connected. The one that connects ends the connection of the
other (MQTT 5, 3.1.4), which connects again, and so on for ever. Both share one session, so each
gets only some of the readings. Four signs show it:

- the broker says so, by reason code 0x8E (MQTT 5, 4.13);
- somebody else has published the `status` of this gateway: another time of start stands in it;
- the broker closes three connections in a row without a word, each within seconds of accepting it
  (MQTT 3.1.1 has no reason code, and Mosquitto 2.0 does not send the one of MQTT 5), and not even
  our own `status` was heard on them;
- it closes six in a row like that, although our own `status` was heard: the other agent has this
  client id, but another gateway id, and so a status of its own.

The first sign is logged as an error. While it lasts, each further connection that the broker closes
is a sign too, the waits between connections grow, and no reading counts as GOOD: windows lack the
readings that the other agent got. After a connection that
the broker has closed without a word, the readings of the next one wait for a moment until the
status has been heard (`is_asking`), so that none is answered before that is known.

Pure but for the log. Only the hot thread uses it.
"""

from collections.abc import Callable
from typing import Final

from agent.mqtt.connection import TAKEN_OVER, Connection
from serving import log

REASON: Final = "client_id_shared"
"""Why no prediction is GOOD; see `agent.streams.router.Router.doubt`."""
_ASKING_S = 1.0
_SOON_S = 10.0
_MOST_QUIET_S = 120.0  # a link that is often cut for another reason is not doubted for hours
_GROWTH = 4.0  # a wait is at most four times the one before: the least of one, the most of the next
_MANY = 3
_MANY_UNTOLD = 6


class Takeover:
    """Counts the signs, and says whether another agent is at work.

    Args:
        client_id: MQTT client id of the agent.
        quiet_s: seconds without a sign on one connection, after which the other agent is gone. They
            become more, up to `_MOST_QUIET_S`, where it is seen to wait longer itself.
        clock: monotonic time in seconds.

    Attributes:
        lasts: whether another agent is at work.
        doubt: called with `REASON` at the first sign, and with nothing once it is over.
    """

    def __init__(self, client_id: str, quiet_s: float, clock: Callable[[], float]) -> None:
        self.lasts = False
        self.doubt: Callable[[str], None] = _ignore
        self._client_id = client_id
        self._quiet_s = self._least_quiet_s = quiet_s
        self._clock = clock
        self._lost_soon = self._closed_soon = 0
        self._is_asking = False
        self._is_certain = False  # for many connections may be closed for another reason
        self._connected_s = self._seen_s = 0.0
        self._has_heard_own = False  # on this connection
        self._was_ours = False  # the status, at some time

    @property
    def trouble(self) -> str:
        """What is wrong and what to do, in words; empty while all is well."""
        if not self.lasts:
            return ""
        found = (
            f"another client connects as {self._client_id}"
            if self._is_certain
            else f"the broker closes every connection of {self._client_id} soon after accepting it,"
            " as it does when another client connects with the same id"
        )
        return (
            f"{found}: two gateways must not have the same gateway.id or broker.client_id;"
            " give each its own"
        )

    @property
    def is_asking(self) -> bool:
        """Whether the status has yet to say if another agent has closed the last connection."""
        return self._is_asking and self._clock() - self._connected_s < _ASKING_S

    def connected(self, *, session_present: bool) -> None:
        """Note that the broker has accepted a connection."""
        self._connected_s = self._clock()
        self._is_asking &= session_present  # in a new session there are no readings of another
        self._has_heard_own = False

    def lost(self, connection: Connection) -> None:
        """Note how a connection ended that the broker had accepted."""
        is_soon = self._clock() - self._connected_s < _SOON_S
        is_closed_soon = connection.is_closed and is_soon
        self._closed_soon = self._closed_soon + 1 if is_closed_soon else 0
        is_lost_soon = is_closed_soon and not self._has_heard_own
        self._lost_soon = self._lost_soon + 1 if is_lost_soon else 0
        self._is_asking = connection.is_closed
        is_again = self.lasts and connection.is_closed
        if connection.ended_with == TAKEN_OVER:
            self._note(is_certain=True)
        elif self._lost_soon >= _MANY or self._closed_soon >= _MANY_UNTOLD or is_again:
            self._note()

    def heard(self, since: str, own: str) -> None:
        """Note a status of this gateway, which the broker has delivered.

        Args:
            since: when the agent that has published it was started, ISO 8601 in UTC.
            own: when this agent was started.
        """
        self._is_asking = False
        if since == own:
            self._has_heard_own = self._was_ours = True
        elif self._was_ours or since > own:  # or else an earlier run of this agent has left it
            self._note(is_certain=True)

    def tick(self) -> None:
        """Look whether it is over; call it about once a second."""
        quiet_since_s = max(self._seen_s, self._connected_s)
        if self.lasts and self._clock() - quiet_since_s >= self._quiet_s:
            self.lasts = self._is_certain = False
            self._quiet_s = self._least_quiet_s
            self.doubt("")
            log.info("no other client has connected with this client id any more")

    def _note(self, *, is_certain: bool = False) -> None:
        self._is_certain |= is_certain
        self._seen_s = self._clock()
        if self.lasts:
            # This connection has closed the other agent's, and lasted as long as that one waited.
            waited_s = self._seen_s - self._connected_s
            self._quiet_s = max(self._quiet_s, min(_GROWTH * waited_s, _MOST_QUIET_S))
        else:
            self.lasts = True
            self.doubt(REASON)
            log.error("client id is in use twice", client_id=self._client_id, remedy=self.trouble)


def _ignore(_reason: str) -> None:
    """Do nothing, until the router is there."""
