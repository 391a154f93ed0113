"""What the updates of a stream need of the program around them."""

from collections.abc import Mapping
from typing import Any, Protocol

from models.bundle.manifest import Manifest
from serving.model import Model


class Slot(Protocol):
    """The place in a program where the model of one stream serves.

    Attributes:
        stream: name of the stream.
        failed_batches: batches in a row on which the model failed; set to 0 to count anew.
    """

    stream: str
    failed_batches: int

    @property
    def model(self) -> Model | None:
        """The model that serves, None until one is activated."""

    def check(self, manifest: Manifest) -> None:
        """Check that the program can feed a model; may be called on any thread.

        Raises:
            IncompatibleBundleError: it cannot; the message says what does not fit.
        """

    def activate(self, model: Model) -> bool:
        """Serve `model` from now on; says whether windows under way were kept."""


class Announcer(Protocol):
    """Tells the world what a stream runs, and how its updates go."""

    def current(self, stream: str, document: Mapping[str, Any]) -> None:
        """Say what a stream runs."""

    def feedback(self, document: Mapping[str, Any]) -> None:
        """Say how an update goes."""
