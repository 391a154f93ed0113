"""Where the model of a stream serves in the agent, and what a swap means for the rest of it."""

from collections.abc import Callable

from agent.journal.writer import Journal
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from agent.subscriptions import Subscriptions
from serving.failure import Failure
from serving.model import Model


class StreamSlot:
    """A pipeline as the updates of its stream see it (`serving.updates.slot.Slot`).

    Args:
        pipeline: answers the windows of the stream.
        router: has to resolve topics anew after a swap.
        journal: begins a new file, because windows may have another meaning.
        subscriptions: asks for the topics of a stream once it has a model.
    """

    def __init__(
        self, pipeline: Pipeline, router: Router, journal: Journal, subscriptions: Subscriptions
    ) -> None:
        self._pipeline = pipeline
        self._router = router
        self._journal = journal
        self._subscriptions = subscriptions

    @property
    def model(self) -> Model | None:
        """The model that serves, None until one is activated."""
        return self._pipeline.model

    @property
    def failure(self) -> Failure | None:
        """What the model fails with on live windows; None if it answered the last batch."""
        return self._pipeline.inference.failure

    def prepare(self, model: Model) -> Callable[[], bool]:
        """Make everything ready for a model; what is returned swaps it in.

        Raises:
            IncompatibleBundleError: the topics do not carry what the model reads.
        """
        swap = self._pipeline.prepare(model)

        def activate() -> bool:
            kept_windows = swap()
            self._router.forget_routes()
            if self._journal.is_on:  # if not, it begins with the windows of that moment
                self._journal.begin()
            self._subscriptions.refresh()
            return kept_windows

        return activate
