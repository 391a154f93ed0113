"""Errors of programs that serve bundles: one class for each thing that a caller does about them.

MillhandError
├── ConfigError       a person must change the configuration: exit 78, and no restart by systemd
├── TransientError    try again after a wait with jitter; never a reason to end the process
└── InferenceError    the model failed on a batch: answer its windows BAD, and count them
    ├── ModelFailedError  the runtime raised an error, or the outputs do not fit the windows
    ├── NotFiniteError    every answer was NaN or infinite
    └── TimedOutError     the runtime was interrupted after `limits.inference_s`

Those of a message and of a bundle are in `models.errors`, those of a pull in
`serving.registry.refusals`, those of the broker in `serving.mqtt.errors`.
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
    """A model did not answer a batch of windows; one of the classes below says why.

    The code of each is also the `reason` of the BAD predictions for these windows.
    """

    code: ClassVar[str] = "inference"


class ModelFailedError(InferenceError):
    """The model raised an error, or its outputs do not have one row for each window."""

    code: ClassVar[str] = "model_failed"


class NotFiniteError(InferenceError):
    """Every answer of the model to a batch was NaN or infinite."""

    code: ClassVar[str] = "answer_not_finite"


class TimedOutError(InferenceError):
    """The model did not end within `limits.inference_s`, and was interrupted."""

    code: ClassVar[str] = "timed_out"
