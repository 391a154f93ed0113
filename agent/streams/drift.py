"""Watches a model's inputs and scores for drift. An alarm informs people and changes nothing else.

On the hot thread a batch is only noted; samples are counted many at a time, once enough have been
noted or the metrics ask. At most `RATE` samples a second are counted, spread evenly over those that
come: a slow plant is watched sample by sample, and a busy line spends a thousandth of a core.
Leaving samples out adds no false alarms: samples further apart are less correlated than those on
which the limits were measured (ADR 15).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from models.bundle.reference import Reference
from models.drift import Drift
from models.input.quality import Quality
from models.windowing.windows import Batch
from serving import log

MAX_NOTED: Final = 64
"""How many samples may wait to be counted."""
RATE: Final = 200
"""How many samples are counted in a second, in the long run."""
BURST: Final = 2_000
"""How many samples may be counted at once after a pause, as when all assets report on the hour."""
_BAD = Quality.BAD  # a member's lookup costs 0.1 us in Python 3.11


class DriftWatch:
    """The drift of one stream since its model was activated, restarts of the agent included.

    Args:
        stream: name of the stream, for the log.
        reference: distributions of inputs and scores in training, from the model's bundle.

    Attributes:
        counted: how many samples were taken; `RATE` leaves out others.
    """

    def __init__(self, stream: str, reference: Reference) -> None:
        self._stream = stream
        self._reference = reference
        self._drift = Drift(reference)
        self._assets: list[str] = []
        self._rows: list[Any] = []  # float32 `[n, channels]` each
        self._scores: list[Any] = []
        self._is_alarm = False
        self.counted = 0
        self._allowed, self._at_ns, self._left_out = float(BURST), 0, 0

    def note(self, batch: Batch, scores: Sequence[Any], at_ns: int) -> None:
        """Note the last sample of each window, and the score that the model gave it.

        Windows of quality BAD have no score and do not count, as in training. Takes microseconds,
        except that every `MAX_NOTED` samples are counted.

        Args:
            batch: the windows that were answered.
            scores: the score of each window, or its value where the model has no scores.
            at_ns: the time by a clock that never goes back, nanoseconds.
        """
        refilled = self._allowed + (at_ns - self._at_ns) * (RATE / 1e9)
        self._allowed, self._at_ns = min(refilled, BURST), at_ns
        count, assets = len(scores), batch.assets
        if self._allowed < 1:
            self._left_out += count
            return
        # A token bucket: so many samples are allowed now, and every step-th of the batch is taken.
        step = -(-count // int(self._allowed))
        if step == 1 and _BAD not in batch.qualities:
            rows = batch.values[:, -1].copy()  # a view would keep whole windows in memory
        else:
            chosen = [
                index
                for index in range(self._left_out % step, count, step)
                if batch.qualities[index] is not _BAD
            ]
            assets, scores = [assets[n] for n in chosen], [scores[n] for n in chosen]
            rows = batch.values[chosen, -1]
            self._left_out += count - len(chosen)
        self._assets += assets
        self._rows.append(rows)
        self._scores += scores
        self._allowed -= len(assets)
        self.counted += len(assets)
        if len(self._assets) >= MAX_NOTED:
            self._count()

    def snapshot(self) -> Mapping[str, Any]:
        """Whether there is drift and where it is largest, as `metrics` publishes it."""
        self._count()
        worst = self._drift.worst()
        return {
            "alarm": self._is_alarm,
            "worst": worst.name if worst else None,
            "view": worst.view if worst else None,
            "asset": worst.asset if worst else None,
            "ratio": round(worst.ratio, 3) if worst else None,
            "watched": len(self._drift),
            "unwatched": self._drift.unwatched,
        }

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Each watched asset and its counts; samples may be noted while this is consumed."""
        self._count()
        return self._drift.states()

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        """Restore counts from `states` under the same reference; before any sample is noted.

        An alarm that had been logged then is not logged again.

        Raises:
            ValueError: a state does not fit this reference. Nothing is restored, and counting may
                begin anew.
        """
        drift = Drift(self._reference)
        for asset, state in states:
            drift.restore(asset, state)
        self._drift, self._is_alarm = drift, bool(drift.alarmed())

    def _count(self) -> None:
        """Count the samples that were noted; log when the first alarm begins or the last ends."""
        if not self._assets:
            return
        rows, scores = np.concatenate(self._rows), np.array(self._scores, dtype=np.float64)
        decisions = sum(1 for _ in self._drift.feed(self._assets, rows, scores))
        self._assets, self._rows, self._scores = [], [], []
        if not decisions or (is_alarm := bool(self._drift.alarmed())) == self._is_alarm:
            return
        self._is_alarm = is_alarm
        worst = self._drift.worst()
        if is_alarm and worst is not None:
            log.warning(
                "drift began",
                stream=self._stream,
                asset=worst.asset,
                signal=worst.name,
                view=worst.view,
                ratio=round(worst.ratio, 3),
            )
        else:
            log.info("drift ended", stream=self._stream)
