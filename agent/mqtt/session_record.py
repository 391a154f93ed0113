"""The record on disk of the session that the broker keeps for this gateway.

    <state_dir>/session.json    host and port of the broker, the client id, when the agent was
                                started, and whether another agent was at work at last

It tells three things that the broker does not say: that a session which the broker does not have
any more was there before this process began, that a session which it has is not ours, and that a
`status` of this gateway is of none of our runs.
"""

import json
from pathlib import Path
from typing import Final

from agent.config.settings import Broker
from models.files import write_atomically
from serving import log

_MOST_STARTS: Final = 16  # a broker that goes on from an older state may have the status of any


class SessionRecord:
    """The record of one gateway, read once, at the start.

    Args:
        state_dir: the agent's own folder.
        broker: the broker that the agent connects to.
        client_id: MQTT client id of the agent.
        started: when this agent was started, as its status says.

    Attributes:
        client_id: as given.
        starts: when the agent was started before, in the words of its status; the earliest first.
        is_shared: whether another agent was at work with this client id when the record was
            written; to be set before `keep`.
        is_current: whether the record is of a session with this broker under this client id.
        is_known: whether a session that the broker has may be ours: the record has this client id.
            Host and port may differ, as the same broker may have got another name.
    """

    def __init__(self, state_dir: Path, broker: Broker, client_id: str, started: str) -> None:
        self.client_id = client_id
        self._started = started
        self._path = state_dir / "session.json"
        self._session = {"host": broker.host, "port": broker.port, "client_id": client_id}
        self._is_kept_by_broker = broker.session_expiry_s > 0
        kept = self._read()
        self.is_current = self._session.items() <= kept.items()
        self._is_written = False
        self.is_known = kept.get("client_id") == client_id
        self.starts = _starts(kept)
        self.is_shared = self.is_known and kept.get("is_shared") is True
        if not kept:
            # Earlier releases recorded the topic filters of the session, and nothing else.
            self.is_known = self.is_current = (state_dir / "subscriptions.json").exists()

    @property
    def is_due(self) -> bool:
        """Whether the broker keeps a session, and this start is not in the file yet."""
        return self._is_kept_by_broker and not self._is_written

    def keep(self) -> None:
        """Write the record, where the broker keeps a session.

        It blocks on the disk: not for the hot thread. To be done before the status of this start is
        published, which the next run finds.
        """
        if not self._is_kept_by_broker:
            return
        starts = [*self.starts, self._started][-_MOST_STARTS:]
        document = {**self._session, "starts": starts, "is_shared": self.is_shared}
        try:
            write_atomically(self._path, json.dumps(document, indent=1).encode())
            self._is_written = True
        except OSError as exc:
            log.warning("session cannot be recorded", reason=exc.strerror)

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _starts(kept: dict[str, object]) -> tuple[str, ...]:
    """The starts in a record; none where an earlier release has written it."""
    found = kept.get("starts")
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()
