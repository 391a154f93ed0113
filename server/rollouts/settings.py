"""The settings of rollouts: `[rollouts]`, and `[rollouts.broker]` with the keys of the agent's."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from models.settings import Section
from serving.mqtt.settings import Broker


class Rollouts(Section):
    """The controller of rollouts. Without this section there is none.

    Attributes:
        registry: folder of the registry, in which the controller signs stages.
        keys: folder with the trusted root and the online key, and no other key.
        passphrase_file: file whose first line is the passphrase of the online key.
        broker: the broker of the gateways. The controller reads what they say, and publishes on
            `millhand/+/desired/+` only; it is a client of its own, with rights of its own.
        name: name of the controller, which stands in the stages that it signs; by default that of
            the machine.
        turn_s: seconds between two looks at every rollout.
        settle_s: seconds without a retained message after which the controller believes that it
            has seen all of them; nothing is opened before.
        ledger_lines: lines of the ledger that are kept.
        max_gateways: gateways that are known; with more, nothing is opened.
        max_payload_bytes: bytes of a message; a longer one is left out.
    """

    registry: Path
    keys: Path
    passphrase_file: Path | None = None
    broker: Broker
    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        default_factory=lambda: socket.gethostname()[:64]
    )
    turn_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    settle_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    ledger_lines: Annotated[int, Field(ge=1_000, le=10_000_000)] = 100_000
    max_gateways: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    max_payload_bytes: Annotated[int, Field(ge=1024, le=16 << 20)] = 64 << 10

    @property
    def secrets(self) -> Mapping[str, Path | None]:
        """Files with secrets by the key that names them; None where none is named."""
        return {
            "rollouts.passphrase_file": self.passphrase_file,
            **self._of_broker("password_file", "key_file"),
        }

    @property
    def files(self) -> Mapping[str, Path | None]:
        """Files that must be readable by the key that names them; None where none is named."""
        return {
            "rollouts.passphrase_file": self.passphrase_file,
            **self._of_broker("password_file", "ca_file", "cert_file", "key_file"),
        }

    def _of_broker(self, *keys: str) -> Mapping[str, Path | None]:
        return {f"rollouts.broker.{key}": getattr(self.broker, key) for key in keys}
