"""The errors of programs that serve bundles, one class for each thing a caller does about them.

MillhandError
├── ConfigError       somebody must change the configuration: exit 78, systemd does not restart
├── TransientError    back off with jitter and try again; never a reason to exit
└── InferenceError    the model failed on a batch: its windows are dropped and counted

Those of a message and of a bundle are in `models.errors`, those of a pull in
`serving.registry.refusals`, those of the broker in `agent.mqtt.errors`.
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


class InferenceError(MillhandError):
    """The model raised an error, or its answer does not have the shape that it must have."""

    code: ClassVar[str] = "inference"
