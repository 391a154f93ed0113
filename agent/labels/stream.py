"""The labels of one stream on the hot thread: what is to be kept is noted, and handed to a worker.

    hot thread   note, note, label ──► hand over         take the summary, acknowledge labels
    worker                           one transaction of SQLite ──┘

One hand-over is under way at a time. A label is acknowledged once it is on disk, which takes as
long as that transaction; the messages behind it are answered meanwhile, but acknowledged after it.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isfinite
from time import time
from typing import TYPE_CHECKING, Final

from agent.delivery.inputs import Input, Outcome
from agent.labels.kept import KeptPredictions
from agent.labels.summary import HandOver, Kept, Summary
from agent.labels.tables import CANDIDATE, CHAMPION
from agent.mqtt.subscription import Subscription
from models.bundle.manifest import Manifest
from models.control.documents import LabelMetrics
from models.control.rollout import GateEvidence
from models.input.label import UNMATCHED, LabelError, read_label
from models.input.label_topic import LabelTopic
from serving import log
from serving.mqtt.packets import Received
from serving.worker import Worker

if TYPE_CHECKING:
    from serving.prediction import Prediction

MAX_NOTED: Final = 50_000
"""Predictions that may wait for the disk; beyond, they are not kept, and counted as lost."""
MAX_LABELS: Final = 1_000
"""Labels that may wait for the disk; at QoS 1 Receive Maximum is the lower limit."""
_SOON: Final = 5_000  # predictions from which on they are handed over before the next tick
_LOG_S: Final = 60.0
_NS_PER_MS: Final = 1_000_000


class StreamLabels:
    """Keeps the predictions of a stream, and takes its labels.

    All methods belong to the hot thread, and none of them waits for the disk.

    Args:
        topic: topic of the labels.
        kept: the file, which from now on only the worker uses.
        worker: writes to it.
        settle: is given the inputs of labels that are on disk, for their acknowledgement.

    Attributes:
        summary: what is in the file.
        unwritten: inputs of labels that are not on disk yet.
        subscription: asks the broker for the labels.
    """

    def __init__(
        self,
        topic: LabelTopic,
        kept: KeptPredictions,
        worker: Worker,
        settle: Callable[[Sequence[Input]], None],
    ) -> None:
        self.summary = Summary()
        self.subscription = Subscription(topic.filter, qos=1, state=True)
        self._topic, self._kept, self._worker, self._settle = topic, kept, worker, settle
        self._new, self._sources = HandOver(), list[Input]()
        self._is_busy = False
        self.unwritten: set[Input] = set()
        self._log = log.Limited(_LOG_S)

    def noting(self, manifest: Manifest) -> Callable[["Prediction"], None]:
        """What is to be given each prediction of a bundle that serves."""
        return partial(self._note, manifest.seq, manifest.outputs[0].classes)

    def add(
        self,
        manifest: Manifest,
        assets: Sequence[str],
        times_ns: Iterable[int],
        values: Iterable[float | None],
    ) -> None:
        """Keep what a bundle in the shadow has answered, of windows that the champion answers.

        Args:
            manifest: of the bundle in the shadow.
            assets: the asset of each window.
            times_ns: event time of each window's last sample, nanoseconds since 1970.
            values: the answer to each window; None or not finite where there is none.
        """
        seq, classes = manifest.seq, manifest.outputs[0].classes
        for asset, time_ns, value in zip(assets, times_ns, values, strict=True):
            if value is not None and isfinite(value):
                self._keep(classes, Kept(CANDIDATE, seq, asset, time_ns // _NS_PER_MS, "", value))

    def take(self, message: Received, source: Input) -> bool:
        """Take a message if it is a label; says whether it is."""
        asset = self._topic.asset(message.topic)
        if asset is None:
            return False
        source.outcome = Outcome.COMMAND
        new = self._new
        if len(new.labels) >= MAX_LABELS:
            new.lost += 1
            return True
        try:
            new.labels.append(read_label(message.payload, asset))
        except LabelError:
            new.malformed += 1
            self._log.warning("malformed", "label cannot be read", topic=message.topic[:256])
        source.waiting += 1  # until it is on disk
        self.unwritten.add(source)
        self._sources.append(source)
        self._hand_over()
        return True

    def gates(self, champion: int, candidate: int) -> Mapping[str, GateEvidence]:
        """What labels say of two bundles, as a gate beside the others; empty before the first.

        Args:
            champion: number of the bundle that serves.
            candidate: number of the bundle in its shadow.
        """
        pair = self.summary.pairs.get((champion, candidate))
        return {"labels": pair.gate} if pair is not None else {}

    def metrics(self, seq: int | None) -> LabelMetrics:
        """The counters, with the live error of the bundle that serves.

        Args:
            seq: number of the bundle; None without one.
        """
        summary = self.summary
        counted, found = summary.counted, summary.errors.get(seq or 0)
        return LabelMetrics.model_construct(
            kept=summary.kept,
            removed=counted.get("removed", 0),
            lost=counted.get("lost", 0),
            waiting=summary.waiting,
            compared=counted.get("compared", 0),
            repeated=counted.get("repeated", 0),
            unmatched={name: counted[name] for name in UNMATCHED if name in counted},
            episodes=found.episodes if found else 0,
            error=found.total / found.episodes if found and found.episodes else None,
        )

    def tick(self) -> None:
        """Hand over what was noted, and have labels compared; to be called about once a second."""
        self._hand_over()

    def close(self) -> None:
        """Hand over what is left; to be called before the worker stops, which writes it first."""
        self._is_busy = False
        self._hand_over()

    def _note(self, seq: int, classes: tuple[str, ...], prediction: "Prediction") -> None:
        value, _, _, _, end_ms, id_, asset, *_ = prediction
        if value is not None:
            self._keep(classes, Kept(CHAMPION, seq, asset, end_ms, id_, value))

    def _keep(self, classes: tuple[str, ...], one: Kept) -> None:
        new = self._new
        if len(new.predictions) >= MAX_NOTED:
            new.lost += 1
            return
        if one.seq not in new.classes:
            new.classes[one.seq] = classes
        new.predictions.append(one)
        if len(new.predictions) >= _SOON and not self._is_busy:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._is_busy:
            return
        self._is_busy = True
        new, self._new = self._new, HandOver()
        sources, self._sources = self._sources, []
        self._worker.submit(partial(self._write, new, sources))

    def _write(self, new: HandOver, sources: Sequence[Input]) -> Callable[[], None]:
        """Write on the worker; returns what the hot thread is to call afterwards."""
        try:
            return partial(self._written, self._kept.hand_over(new, time()), sources)
        except (sqlite3.Error, OSError) as exc:
            lost = len(new.predictions) + len(new.labels) + new.lost
            return partial(self._failed, lost, sources, str(exc))

    def _written(self, summary: Summary, sources: Sequence[Input]) -> None:
        self.summary = summary
        self._done(sources)

    def _failed(self, lost: int, sources: Sequence[Input], reason: str) -> None:
        """Go on without what could not be written: nothing may wait for a disk that is full."""
        self._log.warning("failed", "predictions cannot be kept for labels", reason=reason)
        self._new.lost += lost
        self._done(sources)

    def _done(self, sources: Sequence[Input]) -> None:
        self._is_busy = False
        self.unwritten.difference_update(sources)
        self._settle(sources)
        if self._sources or len(self._new.predictions) >= _SOON:
            self._hand_over()
