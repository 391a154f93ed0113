"""Inputs that the process has died of: how they are found, and that they are left out (ADR 23).

After a death the model that was at work infers one window at a time, and the digest of the input
that completed it is noted first (`serving.incidents.under_way`). So the next start knows the input
that was under way. One that the process has died of too often is poison to this model: the message
is dropped and counted, and its payload is kept for the engineer.
"""

import base64
import math
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson

from models.control.document import timestamp
from models.files import write_atomically
from serving import log
from serving.incidents.account import Account
from serving.incidents.under_way import INPUT_BYTES, UnderWay
from serving.mqtt.packets import Received
from serving.worker import Worker

MAX_FILES: Final = 20
"""Payloads that are kept; beyond, the oldest is removed."""


class Suspects:
    """What is known of the inputs that one model has died of.

    Args:
        sha256: digest of the model's bundle, 64 hexadecimal digits.
        poison: digests of the inputs that it has died of too often.
        watch: the watch over all models.
    """

    def __init__(self, sha256: str, poison: frozenset[bytes], watch: "PoisonWatch") -> None:
        self._sha256 = sha256
        self._poison = poison
        self._watch = watch

    @property
    def is_careful(self) -> bool:
        """Whether the model infers one window at a time, each with its input noted."""
        return self._watch.is_careful and self._watch.suspect == self._sha256

    def has(self, message: Received) -> bool:
        """Whether a message is poison to the model; it is then kept, and must not be taken."""
        if not self._poison or (digest := digest_of(message)) not in self._poison:
            return False
        self._watch.keep(self._sha256, digest, message)
        return True


class PoisonWatch:
    """Watches over all models of the agent.

    Args:
        account: what earlier runs have died of; None where nothing is known, as in a test.
        folder: folder for the payloads of poison.
        worker: thread that writes them.
        healthy_s: seconds of undisturbed work after which the deaths of a model are forgotten.

    Attributes:
        under_way: where each inference is noted.
        suspect: digest of the bundle that the run before has died of; empty if of none.
        is_careful: whether this run has not been healthy for long enough yet.
    """

    def __init__(
        self,
        account: Account | None = None,
        folder: Path | None = None,
        worker: Worker | None = None,
        healthy_s: float = 0.0,
    ) -> None:
        self.under_way = account.under_way if account is not None else UnderWay()
        self.suspect = account.suspect if account is not None else ""
        self.is_careful = bool(self.suspect)
        self._account, self._folder, self._worker = account, folder, worker
        self._kept: set[bytes] = set()
        self._ticks_left = healthy_s

    def tick(self) -> None:
        """Count one second of undisturbed work.

        It is not called while there is no connection: nothing comes then that the agent could die
        of, so that time proves nothing.
        """
        self._ticks_left -= 1
        account, worker = self._account, self._worker
        if self._ticks_left > 0 or account is None or worker is None:
            return
        self._ticks_left = math.inf
        self.is_careful = False

        def forget() -> None:
            try:
                account.deaths.survived(account.poison_deaths)
            except OSError as exc:
                log.warning("deaths cannot be forgotten", reason=exc.strerror)

        worker.submit(forget)

    def suspects(self, sha256: str) -> Suspects | None:
        """What is known of the inputs of a model; None if nothing, as nearly always."""
        if self._account is None:
            return None
        poison = self._account.deaths.of_inputs(sha256, self._account.poison_deaths)
        if not poison and not (self.is_careful and self.suspect == sha256):
            return None
        return Suspects(sha256, poison, self)

    def keep(self, sha256: str, digest: bytes, message: Received) -> None:
        """Keep the payload of a poison input for the engineer, once a run, and say where."""
        if digest in self._kept or self._folder is None or self._worker is None:
            return
        self._kept.add(digest)
        folder, path = self._folder, self._folder / f"{digest.hex()}.json"
        content = {
            "time": timestamp(),
            "topic": message.topic,
            "bundle": sha256,
            "payload_base64": base64.b64encode(message.payload).decode(),
        }

        def write() -> None:
            try:
                write_atomically(path, orjson.dumps(content), mode=0o600)
                for old in sorted(folder.glob("*.json"), key=_written_at)[:-MAX_FILES]:
                    old.unlink(missing_ok=True)
            except OSError as exc:
                log.warning("a poison input cannot be kept", reason=exc.strerror)

        self._worker.submit(write)
        log.error("input left out: the agent dies of it", topic=message.topic[:256], file=path)


def digest_of(message: Received) -> bytes:
    """Digest by which an input is known again after a restart, `INPUT_BYTES` long."""
    content = f"{message.topic}\0".encode() + message.payload
    return blake2b(content, digest_size=INPUT_BYTES).digest()


def _written_at(path: Path) -> float:
    return path.stat().st_mtime
