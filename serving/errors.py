"""Errors of programs that serve bundles: one class for each thing that a caller does about them.

MillhandError
├── ConfigError       a person must change the configuration: exit 78, and no restart by systemd
├── TransientError    try again after a wait with jitter; never a reason to end the process
└── InferenceError    the model failed on a batch: drop its windows, and count them

Those of a message and of a bundle are in `models.errors`, those of a pull in
`serving.registry.refusals`, those of the broker in `agent.mqtt.errors`.
"""

from typing import ClassVar

from models.errors import MillhandError

EXIT_BUG = 70  # EX_SOFTWARE of sysexits(3): systemd restarts the service
EXIT_LATER = 75  # EX_TEMPFAIL: a restart after a while may succeed
EXIT_CONFIG = 78  # EX_CONFIG: the unit has RestartPreventExitStatus=78


class ConfigError(MillhandError):
    """The configuration cannot be used; the message names file, key, finding and remedy."""

    code: ClassVar[str] = "config"


class TransientError(MillhandError):
    """Something outside of the process (broker, registry, disk, clock) fails, and may recover."""

    code: ClassVar[str] = "transient"


class InferenceError(MillhandError):
    """The model raised an error, or its outputs do not have one row for each window."""

    code: ClassVar[str] = "inference"
