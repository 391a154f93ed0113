"""What updates say: kept for whoever asks, and logged where a person should act."""

from collections import Counter
from typing import Final

from models.control.documents import Current, Feedback
from server.streams.slot import StreamSlot
from serving import log

OUTCOMES: Final = ("activated", "refused", "rolled_back", "superseded", "waiting")
"""How a try to serve another bundle ends (`models.control.documents.Feedback`)."""


class Notices:
    """Keeps the newest documents of each stream (`serving.updates.slot.Announcer`).

    Attributes:
        serving: what each stream runs, by its name.
        outcomes: how the last update of each stream went, by its name.
        ended: tries to serve another bundle, by stream and by how they ended.
    """

    def __init__(self) -> None:
        self.serving: dict[str, Current] = {}
        self.outcomes: dict[str, Feedback] = {}
        self.ended: Counter[tuple[str, str]] = Counter()

    def current(self, document: Current) -> None:
        """Keep what a stream runs."""
        self.serving[document.stream] = document

    def feedback(self, document: Feedback) -> None:
        """Keep how an update goes."""
        self.outcomes[document.stream] = document
        if document.state in OUTCOMES:
            self.ended[document.stream, document.state] += 1
        if document.state == "rolled_back":
            log.warning(
                "bundle rolled back",
                stream=document.stream,
                code=document.error,
                reason=document.message,
            )

    def without_model(self, slot: StreamSlot) -> tuple[str, str]:
        """State of a stream that has no model: LOADING or UNAVAILABLE, and the reason, if any."""
        if slot.is_unloaded:
            return "UNAVAILABLE", "unloaded"
        outcome = self.outcomes.get(slot.stream)
        if outcome is None:
            return "LOADING", ""
        state = "UNAVAILABLE" if outcome.state == "refused" else "LOADING"
        return state, outcome.message or outcome.error or ""
