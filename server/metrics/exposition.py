"""`GET /metrics`: the numbers in the text format of Prometheus, or as OpenMetrics."""

from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, exposition
from prometheus_client.openmetrics import exposition as openmetrics

from server.http.answer import Answer
from server.http.request import Request
from server.http.routes import Table
from server.metrics.collector import ServerCollector, Sources

_OPENMETRICS: Final = b"application/openmetrics-text"


class Exposition:
    """Answers Prometheus.

    Args:
        sources: where the numbers are.
    """

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(ServerCollector(sources))
        ProcessCollector(registry=self._registry)

    def table(self) -> Table:
        """Method, path and handler of everything that is answered here."""
        return (("GET", "/metrics", self._metrics),)

    async def _metrics(self, request: Request) -> Answer:
        # Prometheus names OpenMetrics first where it reads it; no other client names it at all.
        if _OPENMETRICS in request.header(b"accept"):
            text, kind = (
                openmetrics.generate_latest(self._registry),
                openmetrics.CONTENT_TYPE_LATEST,
            )
        else:
            text, kind = (
                exposition.generate_latest(self._registry),
                exposition.CONTENT_TYPE_PLAIN_0_0_4,
            )
        return Answer(200, text, kind.encode())
