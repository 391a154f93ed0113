"""Whether the faults of the plant were found: predictions compared with the true condition.

An episode is a run of inputs of one asset with one fault. It is found when the model predicts the
fault a few times in a row while it lasts. Of the episodes that are over, the newest are kept.
"""

from collections import deque
from dataclasses import dataclass

from demo.plant.simulation import HEALTHY

MAX_EPISODES = 1_000


@dataclass(slots=True)
class Episode:
    """One fault of one asset, as far as inputs have shown it.

    Args:
        asset: name of the pump, as `line/pump`.
        condition: condition of the pump during the fault.
        begin_ms: event time of the first input with the fault, milliseconds since 1970.
        inputs: number of inputs with the fault so far.
        found_after_ms: milliseconds from the beginning until the fault was found; None: not yet.
        streak: number of the latest predictions in a row that named the fault.
    """

    asset: str
    condition: str
    begin_ms: int
    inputs: int = 0
    found_after_ms: int | None = None
    streak: int = 0


class Detection:
    """Follows the episodes of all assets.

    Args:
        in_a_row: number of predictions in a row after which a fault counts as found, as a single
            one may be chance.
        patience: number of inputs after which an episode that was not found counts as missed.

    Attributes:
        compared: number of predictions that were compared with the true condition.
        agreed: number of those that named the true condition.
        over: the newest episodes that have ended.
    """

    def __init__(self, *, in_a_row: int, patience: int) -> None:
        self.compared = 0
        self.agreed = 0
        self.over: deque[Episode] = deque(maxlen=MAX_EPISODES)
        self._in_a_row = in_a_row
        self._patience = patience
        self._open: dict[str, Episode] = {}

    @property
    def episodes(self) -> list[Episode]:
        """The episodes that are over and those that go on."""
        return [*self.over, *self._open.values()]

    @property
    def missed(self) -> list[Episode]:
        """The episodes that lasted long enough to be found, and were not."""
        return [
            episode
            for episode in self.episodes
            if episode.found_after_ms is None and episode.inputs >= self._patience
        ]

    def compare(self, asset: str, timestamp_ms: int, *, truth: str, label: str) -> Episode | None:
        """Compare a prediction with the true condition; return the episode that is found by it."""
        self.compared += 1
        self.agreed += truth == label
        episode = self._follow(asset, timestamp_ms, truth)
        if episode is None:
            return None
        episode.inputs += 1
        episode.streak = episode.streak + 1 if label == truth else 0
        if episode.found_after_ms is not None or episode.streak < self._in_a_row:
            return None
        episode.found_after_ms = timestamp_ms - episode.begin_ms
        return episode

    def _follow(self, asset: str, timestamp_ms: int, truth: str) -> Episode | None:
        """Return the asset's episode: the open one, a new one, or None where it has no fault."""
        episode = self._open.get(asset)
        if episode and episode.condition != truth:
            self.over.append(self._open.pop(asset))
            episode = None
        if episode is None and truth != HEALTHY:
            episode = self._open[asset] = Episode(asset, truth, timestamp_ms)
        return episode
