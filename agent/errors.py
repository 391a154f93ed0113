"""The agent's errors, one class for each thing a caller does about them.

MillhandError
├── ConfigError       somebody must change the configuration: exit 78, systemd does not restart
├── TransientError    back off with jitter and try again; never a reason to exit
│   └── BrokerError   the broker cannot be reached, or does not let us in
├── ReadingError      one message is dropped and counted by `reason` (models.errors)
└── InferenceError    the model failed on a batch: dropped and counted
"""

from typing import ClassVar

from models.errors import MillhandError

EXIT_BUG = 70
EXIT_CONFIG = 78


class ConfigError(MillhandError):
    """The configuration cannot be used; the message names file, key, finding and remedy."""

    code: ClassVar[str] = "config"


class TransientError(MillhandError):
    """Something outside is not there now; it may be later."""

    code: ClassVar[str] = "transient"


class BrokerError(TransientError):
    """The broker cannot be reached, or refuses us for now."""

    code: ClassVar[str] = "broker"


class InferenceError(MillhandError):
    """The model raised, or answered with something that is no answer."""

    code: ClassVar[str] = "inference"
