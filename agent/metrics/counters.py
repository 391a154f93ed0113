"""Counters that balance: received = predicted + windowed + dropped + waiting.

`predicted` inputs had their predictions confirmed by the broker, `windowed` ones only filled
windows, `dropped` ones are counted by reason, `waiting` ones are not finished.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent.commands import Commands
from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Outcome
from agent.mqtt.reconnect import Reconnector
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.control.documents import (
    Drift,
    Metrics,
    SparkplugMetrics,
    StreamMetrics,
)
from models.control.histogram import HistogramMetrics
from serving.histogram import Histogram

if TYPE_CHECKING:
    from agent.labels.gateway import GatewayLabels


class Counters:
    """Reads the counters where they are kept.

    Attributes:
        sparkplug: reads those of the edge node of Sparkplug; None without one.
        labels: the late labels; None where no stream takes any.
        births: reads those of the requests to nodes of Sparkplug; None where none may be asked.
        textfile_failures: reads how often the text file could not be written; None without one.
        metadata_age_s: reads how old the registry's metadata are; None without a registry.
    """

    def __init__(
        self,
        router: Router,
        delivery: Delivery,
        reconnector: Reconnector,
        pipelines: Sequence[Pipeline],
        commands: Commands,
    ) -> None:
        self._router = router
        self._delivery = delivery
        self._reconnector = reconnector
        self._pipelines = pipelines
        self._commands = commands
        self.sparkplug: Callable[[], SparkplugMetrics] | None = None
        self.births: Callable[[], dict[str, int]] | None = None
        self.textfile_failures: Callable[[], int] | None = None
        self.metadata_age_s: Callable[[], float | None] | None = None
        self.labels: GatewayLabels | None = None

    def snapshot(self) -> Metrics:
        """All counters since the start; none of it changes afterwards."""
        delivery = self._delivery
        counted = Metrics.model_construct(
            received=self._router.received,
            predicted=delivery.outcomes[Outcome.PREDICTED],
            windowed=delivery.outcomes[Outcome.WINDOWED],
            dropped=dict(delivery.dropped),
            waiting=delivery.waiting - (self.labels.unwritten if self.labels is not None else 0),
            redelivered=delivery.redelivered,
            connects=self._reconnector.connects,
            sessions_lost=self._reconnector.sessions_lost,
            desired_superseded=self._commands.superseded,
            streams={
                one.stream: _of_stream(one, self._router.refused[one.stream], self._of_labels(one))
                for one in self._pipelines
            },
        )
        update: dict[str, object] = {}
        if self.births is not None:
            update["rebirths"] = self.births()
        if self.sparkplug is not None:
            update["sparkplug"] = self.sparkplug()
        if self.textfile_failures is not None:
            update["textfile_failures"] = self.textfile_failures()
        if self.metadata_age_s is not None and (age_s := self.metadata_age_s()) is not None:
            update["metadata_age_s"] = round(age_s, 1)
        return counted.model_copy(update=update) if update else counted

    def _of_labels(self, pipeline: Pipeline) -> Mapping[str, Any]:
        """The entry `labels` of a stream; empty where it takes none."""
        found = self.labels.streams.get(pipeline.stream) if self.labels is not None else None
        if found is None:
            return {}
        return {"labels": found.metrics(pipeline.model.manifest.seq if pipeline.model else None)}


def _of_stream(
    pipeline: Pipeline, refused: Mapping[str, int], labels: Mapping[str, Any]
) -> StreamMetrics:
    outcomes = pipeline.inference.counted.explanations.outcomes
    explained: Mapping[str, Any] = {"explanations": dict(outcomes)} if outcomes else {}
    drift: Mapping[str, Any] = {
        name: Drift.model_construct(**one) for name, one in pipeline.drift.items()
    }
    return StreamMetrics.model_construct(
        predictions=dict(pipeline.inference.counted.predictions),
        bad=dict(pipeline.inference.counted.bad),
        missing=dict(pipeline.missing),
        refused=dict(refused),
        unread={signal: dict(counts) for signal, counts in pipeline.unread.reasons.items()},
        unknown_states={signal: dict(counts) for signal, counts in pipeline.unread.states.items()},
        forgotten_assets=pipeline.forgotten_assets,
        **pipeline.disorder,
        **drift,
        retained=pipeline.holding.held,
        shed=pipeline.shed,
        **explained,
        **labels,
        batch_ms=round(pipeline.inference.batch_ns / 1e6, 3),
        duration_us=_histogram(pipeline.inference.counted.durations_us),
        age_ms=_histogram(pipeline.inference.counted.ages_ms),
    )


def _histogram(counted: Histogram) -> HistogramMetrics:
    return HistogramMetrics.model_construct(
        bounds=tuple(counted.bounds), counts=tuple(counted.counts), total=counted.total
    )
