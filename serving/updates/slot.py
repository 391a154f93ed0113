"""What updates need of the program around them."""

from collections.abc import Callable
from typing import Protocol

from models.control.documents import Current, Feedback
from serving.failure import Failure
from serving.model import Model


class Slot(Protocol):
    """The place in a program where the model of one stream serves."""

    @property
    def failure(self) -> Failure | None:
        """What the model fails with on live windows; None if it answered the last batch."""

    @property
    def model(self) -> Model | None:
        """The model that serves, None until one is activated."""

    def prepare(self, model: Model) -> Callable[[], bool]:
        """Make everything ready for a model, while another one serves; may be on any thread.

        Returns:
            The swap, to be called on the hot thread between two turns: it only exchanges
            references, and returns whether windows under way were kept.

        Raises:
            IncompatibleBundleError: the program cannot feed the model; the message says why.
        """


class Announcer(Protocol):
    """Publishes what a stream runs, and how its updates go."""

    def current(self, document: Current) -> None:
        """Publish what a stream runs."""

    def feedback(self, document: Feedback) -> None:
        """Publish how an update goes; the announcer adds the time."""
