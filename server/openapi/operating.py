"""The paths of those who operate the server: this description, and its figures."""

from collections.abc import Iterator
from typing import Final

from server.openapi.operation import TEXT, Body, Operation, answered
from server.openapi.schemas import ANY, table, text

TAG: Final = "Operation"
PATH: Final = "/openapi.json"

_OPERATIONS: Final = {
    ("GET", PATH): Operation(
        id="openapi",
        tag=TAG,
        summary="This document",
        answer=answered("All paths, by OpenAPI 3.1.", table(ANY)),
    ),
    ("GET", "/metrics"): Operation(
        id="metrics",
        tag=TAG,
        summary="Counters and times, for Prometheus",
        answer=Body(
            description="Its text format, or OpenMetrics where the client accepts it.",
            content={TEXT: text(), "application/openmetrics-text": text()},
        ),
    ),
    ("GET", "/metrics/fleet"): Operation(
        id="fleet_metrics",
        tag=TAG,
        summary="Counters of all gateways, for Prometheus",
        answer=Body(description="Its text format.", content={TEXT: text()}),
    ),
}


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Method and path, and the operation, of what the server says of itself."""
    yield from _OPERATIONS.items()
