"""The record on disk of the session that the broker keeps for this gateway.

    <state_dir>/session.json    host and port of the broker, and the client id

It tells two things that the broker does not say: that a session which the broker does not have any
more was there before this process began, and that a session which it has is not ours.
"""

import json
from pathlib import Path

from agent.config.settings import Broker
from models.files import write_atomically
from serving import log


class SessionRecord:
    """The record of one gateway, read once, at the start.

    Args:
        state_dir: the agent's own folder.
        broker: the broker that the agent connects to.
        client_id: MQTT client id of the agent.

    Attributes:
        client_id: as given.
        is_current: whether the record is of a session with this broker under this client id.
        is_known: whether a session that the broker has may be ours: the record has this client id.
            Host and port may differ, as the same broker may have got another name.
    """

    def __init__(self, state_dir: Path, broker: Broker, client_id: str) -> None:
        self.client_id = client_id
        self._path = state_dir / "session.json"
        self._session = {"host": broker.host, "port": broker.port, "client_id": client_id}
        self._is_kept_by_broker = broker.session_expiry_s > 0
        kept = self._read()
        self.is_current = self._is_written = kept == self._session
        self.is_known = kept.get("client_id") == client_id
        if not kept:
            # Earlier releases recorded the topic filters of the session, and nothing else.
            self.is_known = self.is_current = (state_dir / "subscriptions.json").exists()

    @property
    def is_due(self) -> bool:
        """Whether the broker keeps a session that no file names yet."""
        return self._is_kept_by_broker and not self._is_written

    def keep(self) -> None:
        """Write the record. It blocks on the disk: not for the hot thread."""
        try:
            write_atomically(self._path, json.dumps(self._session, indent=1).encode())
            self._is_written = True
        except OSError as exc:
            log.warning("session cannot be recorded", reason=exc.strerror)

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
