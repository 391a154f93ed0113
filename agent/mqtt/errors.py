"""The errors of a connection to the broker."""

from typing import ClassVar

from serving.errors import TransientError


class BrokerError(TransientError):
    """The broker cannot be reached, or refuses the connection for now."""

    code: ClassVar[str] = "broker"
