"""How long a model has failed on live windows, and with what."""

from dataclasses import dataclass
from typing import Final

from serving.errors import InferenceError, TimedOutError

MAX_FAILED_BATCHES: Final = 3
"""Batches in a row on which a model may fail before the bundle before it serves again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a model has failed with on its last batches, all of which have failed.

    Attributes:
        error: error of the last batch, with its code and the words of the runtime.
        batches: number of batches in a row that have failed.
    """

    error: InferenceError
    batches: int

    @property
    def is_lasting(self) -> bool:
        """Whether the model should be replaced.

        One inference that had to be interrupted is enough, because all streams wait while it lasts.
        """
        return self.batches >= MAX_FAILED_BATCHES or isinstance(self.error, TimedOutError)
