"""`GET /metrics`: the numbers in the text format of Prometheus, or as OpenMetrics."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, exposition
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from server.http.answer import Answer
from server.http.request import Request
from server.http.routes import Table
from server.metrics.collector import ServerCollector, Sources
from server.metrics.counts import Counts, statistics_of
from server.metrics.samples import counted, of_all

_OPENMETRICS: Final = b"application/openmetrics-text"


class Exposition:
    """Answers Prometheus.

    Args:
        sources: where the numbers are.
        totals: asks what all workers have counted; None where there is one process.
    """

    def __init__(
        self, sources: Sources, totals: Callable[[], Awaitable[Counts]] | None = None
    ) -> None:
        self._registry, self._totals = CollectorRegistry(), totals
        self._registry.register(ServerCollector(sources))
        self._served = sources.served
        ProcessCollector(registry=self._registry)

    def table(self) -> Table:
        """Method, path and handler of everything that is answered here."""
        return (("GET", "/metrics", self._metrics),)

    def counts(self) -> Counts:
        """What this process has counted."""
        found = counted(self._registry.collect())
        for one in self._served.versions:
            found["kept"] |= statistics_of(one.model.manifest.stream, one.seq, one.statistics)
        return found

    async def _metrics(self, request: Request) -> Answer:
        registry = self._registry
        if self._totals is not None:
            registry = CollectorRegistry()
            registry.register(_OfAll(self._registry, await self._totals()))
        # Prometheus names OpenMetrics first where it reads it; no other client names it at all.
        if _OPENMETRICS in request.header(b"accept"):
            text, kind = openmetrics.generate_latest(registry), openmetrics.CONTENT_TYPE_LATEST
        else:
            text, kind = exposition.generate_latest(registry), exposition.CONTENT_TYPE_PLAIN_0_0_4
        return Answer(200, text, kind.encode())


class _OfAll(Collector):
    """The families of this process, with the samples of all workers."""

    def __init__(self, own: CollectorRegistry, totals: Counts) -> None:
        self._own, self._totals = own, totals

    def collect(self) -> Iterator[Metric]:
        yield from of_all(self._own.collect(), self._totals)
