"""Recognises that another agent has the identity of this one: a gateway's card that was cloned.

A broker lets one client of an id be connected. The one that connects ends the connection of the
other (MQTT 5, 3.1.4), which connects again, and so on for ever. Both share one session, so each
gets only some of the readings. These signs show it:

- the broker says so, by reason code 0x8E (MQTT 5, 4.13);
- somebody else has published the `status` of this gateway: another time of start stands in it, and
  the state folder does not have it on record as one of ours (`SessionRecord.starts`);
- it says that an agent is online which is on record, as the clone of a whole card has it, and the
  broker soon closes this connection without a word;
- the broker closes three connections in a row without a word, each within seconds of accepting it
  (MQTT 3.1.1 has no reason code, and Mosquitto 2.0 does not send the one of MQTT 5), and not even
  our own `status` was heard on them;
- it closes six in a row like that, although our own `status` was heard: the other agent has this
  client id, but another gateway id, and so a status of its own.

The first sign is logged as an error. While it lasts, each further connection that the broker closes
is a sign too, the waits between connections grow, and no reading counts as GOOD: windows lack the
readings that the other agent got. On the first connection, and on one that follows on a connection
which the broker has closed without a word, readings wait until the status has been heard
(`is_asking`), so that none is answered before that is known.

Pure but for the log. Only the hot thread uses it.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final

from agent.mqtt.connection import TAKEN_OVER, Connection
from serving import log

REASON: Final = "client_id_shared"
"""Why no prediction is GOOD; see `agent.streams.router.Router.doubt`."""
_ASKING_S = 1.0
_RETURN_S = 3.0  # the longest first wait of an agent, 1 s, and the time that connecting takes
_SOON_S = 10.0
_MOST_QUIET_S = 120.0  # a link that is often cut for another reason is not doubted for hours
_GROWTH = 4.0  # a wait is at most four times the one before: the least of one, the most of the next
_MANY = 3
_MANY_UNTOLD = 6


class Found(IntEnum):
    """What the signs say; a higher one replaces a lower one.

    BEFORE: there was another agent when this one ended last; UNKNOWN: an agent was started that is
    not on record here; CLOSED: connections are closed; ANOTHER: there is another agent.
    """

    BEFORE = 0
    UNKNOWN = 1
    CLOSED = 2
    ANOTHER = 3


_WORDS: Final = {
    Found.BEFORE: "another client connected as {client_id} when this agent ran last",
    Found.UNKNOWN: "the status of this gateway was published by an agent that the state folder does"
    " not know: another one that connects as {client_id}, or this one after the state folder was"
    " copied, if it was restored from a copy",
    Found.CLOSED: "the broker closes every connection of {client_id} soon after accepting it, as it"
    " does when another client connects with the same id",
    Found.ANOTHER: "another client connects as {client_id}",
}


class Takeover:
    """Counts the signs, and says whether another agent is at work.

    Args:
        client_id: MQTT client id of the agent.
        starts: when this agent was started before, as its status said then; the earliest first.
            Empty where that is not on record.
        quiet_s: seconds without a sign on one connection, after which the other agent is gone. They
            become more, up to `_MOST_QUIET_S`, where it is seen to wait longer itself.
        clock: monotonic time in seconds.

    Attributes:
        lasts: whether another agent is at work.
        doubt: called with `REASON` at the first sign, and with nothing once it is over.
    """

    def __init__(
        self, client_id: str, starts: Sequence[str], quiet_s: float, clock: Callable[[], float]
    ) -> None:
        self.lasts = False
        self.doubt: Callable[[str], None] = _ignore
        self._client_id = client_id
        self._starts = starts
        self._quiet_s = self._least_quiet_s = quiet_s
        self._clock = clock
        self._lost_soon = self._closed_soon = 0
        self._is_asking = True
        self._found = Found.BEFORE
        self._connected_s = self._seen_s = 0.0
        self._returned_by_s = 0.0  # when an agent whose connection ours has closed would be back
        self._has_heard_own = False  # on this connection
        self._was_ours = False  # the status, at some time
        self._left = ""  # time of start in a status that was taken for one of an earlier run

    @property
    def trouble(self) -> str:
        """What is wrong and what to do, in words; empty while all is well."""
        if not self.lasts:
            return ""
        return (
            f"{_WORDS[self._found].format(client_id=self._client_id)};"
            " two gateways must not have the same gateway.id or broker.client_id:"
            " give each its own"
        )

    @property
    def is_asking(self) -> bool:
        """Whether readings wait: it is not known yet if another agent has got some of them."""
        if self.lasts or not (self._is_asking or self._returned_by_s):
            return False
        now_s = self._clock()
        is_unheard = self._is_asking and now_s - self._connected_s < _ASKING_S
        return is_unheard or now_s < self._returned_by_s

    def remember(self) -> None:
        """Go on with a doubt that lasted when this agent ended last."""
        self._note(Found.BEFORE)

    def connected(self, *, session_present: bool) -> None:
        """Note that the broker has accepted a connection."""
        self._connected_s = self._clock()
        self._is_asking &= session_present  # in a new session there are no readings of another
        self._has_heard_own = False

    def lost(self, connection: Connection) -> None:
        """Note how a connection ended that the broker had accepted."""
        now_s = self._clock()
        has_returned = connection.is_closed and now_s < self._returned_by_s
        self._returned_by_s = 0.0
        is_closed_soon = connection.is_closed and now_s - self._connected_s < _SOON_S
        self._closed_soon = self._closed_soon + 1 if is_closed_soon else 0
        is_lost_soon = is_closed_soon and not self._has_heard_own
        self._lost_soon = self._lost_soon + 1 if is_lost_soon else 0
        self._is_asking = connection.is_closed
        if connection.ended_with == TAKEN_OVER or has_returned:
            self._note(Found.ANOTHER)
        elif self._lost_soon >= _MANY or self._closed_soon >= _MANY_UNTOLD:
            self._note(Found.CLOSED)
        elif self.lasts and connection.is_closed:
            self._note(self._found)

    def heard(self, since: str, own: str, *, is_online: bool, is_live: bool) -> None:
        """Note a status of this gateway, which the broker has delivered.

        Args:
            since: when the agent that has published it was started, ISO 8601 in UTC.
            own: when this agent was started.
            is_online: whether the status says that that agent is connected.
            is_live: whether it was published during this connection, and not retained from before.
        """
        self._is_asking = False
        if since == own:
            self._has_heard_own = self._was_ours = True
        elif (is_live and self._was_ours) or not self._is_earlier(since, own):
            self._note(Found.ANOTHER if self._was_ours else Found.UNKNOWN)
        elif is_online or is_live:
            # That agent was connected until now, as far as the broker knows. It may have lost its
            # power, the broker may go on from an older state, or it is at work and this one is its
            # clone. A live status is its will, which some brokers publish now (MQTT 5, 3.1.4).
            self._returned_by_s = self._connected_s + _RETURN_S

    def tick(self) -> None:
        """Look whether it is over; call it about once a second."""
        quiet_since_s = max(self._seen_s, self._connected_s)
        if self.lasts and self._clock() - quiet_since_s >= self._quiet_s:
            self.lasts = False
            self._quiet_s = self._least_quiet_s
            self.doubt("")
            log.info("no other client has connected with this client id any more")

    def _is_earlier(self, since: str, own: str) -> bool:
        """Whether an earlier run of this agent may have published a status."""
        if since == self._left or since in self._starts:
            return True
        # A status from before the first start on record stays where the broker refuses ours.
        if self._was_ours or since > (self._starts[0] if self._starts else own):
            return False
        self._left = since
        return True

    def _note(self, found: Found) -> None:
        self._seen_s = self._clock()
        is_told = self.lasts and (self._found > Found.UNKNOWN or found <= Found.UNKNOWN)
        self._found = max(self._found, found) if self.lasts else found
        if self.lasts:
            # This connection has closed the other agent's, and lasted as long as that one waited.
            waited_s = self._seen_s - self._connected_s
            self._quiet_s = max(self._quiet_s, min(_GROWTH * waited_s, _MOST_QUIET_S))
        else:
            self.lasts = True
            self.doubt(REASON)
        if not is_told:
            in_use = "may be in use twice" if found <= Found.UNKNOWN else "is in use twice"
            log.error(f"client id {in_use}", client_id=self._client_id, remedy=self.trouble)


def _ignore(_reason: str) -> None:
    """Do nothing, until the router is there."""
