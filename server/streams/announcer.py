"""What updates say: kept for whoever asks, and logged where a person should act."""

from models.control.documents import Current, Feedback
from serving import log


class Notices:
    """Keeps the newest documents of each stream (`serving.updates.slot.Announcer`).

    Attributes:
        serving: what each stream runs, by its name.
        outcomes: how the last update of each stream went, by its name.
    """

    def __init__(self) -> None:
        self.serving: dict[str, Current] = {}
        self.outcomes: dict[str, Feedback] = {}

    def current(self, document: Current) -> None:
        """Keep what a stream runs."""
        self.serving[document.stream] = document

    def feedback(self, document: Feedback) -> None:
        """Keep how an update goes."""
        self.outcomes[document.stream] = document
        if document.state == "rolled_back":
            log.warning(
                "bundle rolled back",
                stream=document.stream,
                code=document.error,
                reason=document.message,
            )

    def without_model(self, stream: str) -> tuple[str, str]:
        """State of a stream that has no model: LOADING or UNAVAILABLE, and the reason, if any."""
        outcome = self.outcomes.get(stream)
        if outcome is None:
            return "LOADING", ""
        state = "UNAVAILABLE" if outcome.state == "refused" else "LOADING"
        return state, outcome.message or outcome.error or ""
