"""Were the plant's faults found: what was predicted against what was truly the case.

An episode is a run of inputs of one asset with one fault. It is found when the model names it a few
times in a row while it lasts. Pure, and bounded: of the episodes that are over the newest are kept.
"""

from collections import deque
from dataclasses import dataclass

from demo.plant.simulation import HEALTHY

MAX_EPISODES = 1_000


@dataclass(slots=True)
class Episode:
    """One fault of one asset as the inputs showed it; times are event times in ms.

    Args:
        asset: The pump.
        condition: The fault.
        begin_ms: Time of the first input with it.
        inputs: How many inputs had it so far.
        found_after_ms: Event time from the beginning to the finding; None as long as not found.
        streak: How many predictions in a row named it.
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
        in_a_row: Predictions in a row that make a finding; one alone may be chance.
        patience: Inputs that an episode must have had before its being unfound is a failure.

    Attributes:
        judged: Predictions compared with the truth.
        agreed: Those that named it.
        over: Episodes that ended, the newest.
    """

    def __init__(self, *, in_a_row: int, patience: int) -> None:
        self.judged = 0
        self.agreed = 0
        self.over: deque[Episode] = deque(maxlen=MAX_EPISODES)
        self._in_a_row = in_a_row
        self._patience = patience
        self._open: dict[str, Episode] = {}

    @property
    def episodes(self) -> list[Episode]:
        """The episodes that are over and those that last."""
        return [*self.over, *self._open.values()]

    @property
    def missed(self) -> list[Episode]:
        """The episodes that had time to be found and were not."""
        return [
            episode
            for episode in self.episodes
            if episode.found_after_ms is None and episode.inputs >= self._patience
        ]

    def judge(self, asset: str, timestamp_ms: int, *, truth: str, label: str) -> Episode | None:
        """Compare one prediction with the truth; return the episode if this one found it."""
        self.judged += 1
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
        """Return the asset's episode, after closing an old one and opening a new one."""
        episode = self._open.get(asset)
        if episode and episode.condition != truth:
            self.over.append(self._open.pop(asset))
            episode = None
        if episode is None and truth != HEALTHY:
            episode = self._open[asset] = Episode(asset, truth, timestamp_ms)
        return episode
