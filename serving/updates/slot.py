"""What updates need of the program around them."""

from collections.abc import Callable
from typing import Protocol

from models.bundle.identity import BundleRef
from models.control.documents import Current, Feedback
from serving.failure import Failure
from serving.model import Model
from serving.updates.shadow_record import Selection


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


class ShadowSlot(Slot, Protocol):
    """The place in a program where a model answers in the shadow of the one that serves a stream.

    `model` is the model in the shadow. The swap that `prepare` returns says whether the model is
    there now: it is not if another one has begun to serve in the meantime.

    Attributes:
        is_configured: whether the newest bundle runs there unless something else is selected.
        selection: what is selected, set before a model is prepared.
        probation_s: seconds for which a bundle that has begun to serve is on probation.
    """

    is_configured: bool
    probation_s: float
    selection: Selection | None

    @property
    def champion(self) -> BundleRef | None:
        """The bundle that serves the stream; None while there is none."""

    @property
    def tripped(self) -> tuple[str, str] | None:
        """Code and words of the gate that has ended the trial; None while it goes on."""

    @property
    def is_on_probation(self) -> bool:
        """Whether the former bundle answers there, as a measure of the one that serves."""

    @property
    def relapse(self) -> tuple[str, str] | None:
        """Code and words of the gate that speaks against the bundle on probation."""

    def begin_probation(self, former: Model) -> None:
        """Have the bundle that served before answer there; only where it takes the same windows."""

    def end_probation(self) -> bool:
        """Have it answer no more, and let its model go; says whether there was one."""

    def is_at_fault(self, code: str) -> bool:
        """Whether this gate says that the model fails by itself, so that it must not serve here."""

    def end(self, *, keep_evidence: bool = False) -> None:
        """Have no model answer there; its evidence goes with it unless it is to be kept."""


class Announcer(Protocol):
    """Publishes what a stream runs, and how its updates go."""

    def current(self, document: Current) -> None:
        """Publish what a stream runs."""

    def feedback(self, document: Feedback) -> None:
        """Publish how an update goes; the announcer adds the time."""
