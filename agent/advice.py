"""Says in the log what a setting of the operator would cure, where the counters alone do not."""

from collections.abc import Sequence

from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from serving import log
from serving.log import Limited


class Advice:
    """Looks at the counters from time to time, and names the setting that helps.

    Args:
        router: counts the readings that came too late.
        pipelines: count the assets that had to make room for others.
        interval_s: least number of seconds between two warnings of the same kind about a stream.
    """

    def __init__(self, router: Router, pipelines: Sequence[Pipeline], interval_s: float) -> None:
        self._router = router
        self._pipelines = pipelines
        self._log = Limited(interval_s)
        self._told: set[str] = set()  # streams whose late readings were explained
        self._forgotten = dict.fromkeys((one.stream for one in pipelines), 0)

    def tick(self) -> None:
        """Look at every stream; to be called about once a second."""
        for pipeline in self._pipelines:
            self._of_late(pipeline)
            self._of_assets(pipeline)

    def _of_late(self, pipeline: Pipeline) -> None:
        """Explain late readings, once a stream: how many there are is in the counters."""
        stream = pipeline.stream
        if stream in self._told or not self._router.refused[stream]["late"]:
            return
        self._told.add(stream)
        log.warning(
            "readings arrive behind newer ones of their asset and are dropped as late; if they "
            "matter, set disorder_ms beside stream, which delays every prediction by as much",
            stream=stream,
            disorder_ms=pipeline.settings.disorder_ms,
        )

    def _of_assets(self, pipeline: Pipeline) -> None:
        """Warn while assets lose their windows to others: some of them may be made up."""
        stream, count = pipeline.stream, pipeline.forgotten_assets
        if count <= self._forgotten[stream]:
            return
        self._forgotten[stream] = count
        self._log.warning(
            stream,
            "more assets than limits.max_assets: windows of those that were silent for longest are "
            "gone; list the real ones as assets beside stream, or raise the limit",
            stream=stream,
            forgotten=count,
            assets=len(pipeline.settings.assets),
        )
