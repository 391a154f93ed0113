"""The paths behind the page that shows a plant. The page and its own files are not described."""

from collections.abc import Iterator
from typing import Final

from server.openapi.operation import JSON, Body, Operation, answered
from server.openapi.refusals import BODY
from server.openapi.schemas import ANY, array, record, table, text, whole

TAG: Final = "Page"
_SHOWN: Final = table(ANY, "What the page shows; it changes with the page.")
_SESSION: Final = answered(
    "The scopes of the session, whose cookie comes with it, and how long it lasts.",
    record({"scopes": array(text()), "session_s": whole("Seconds.")}),
)

_OPERATIONS: Final = {
    ("GET", "/console/api/plant"): Operation(
        id="page_plant",
        tag=TAG,
        summary="All assets, and the connection to the broker",
        answer=answered("The assets.", _SHOWN),
    ),
    ("GET", "/console/api/gateways"): Operation(
        id="page_gateways",
        tag=TAG,
        summary="All gateways",
        answer=answered("The gateways.", _SHOWN),
    ),
    ("GET", "/console/api/streams"): Operation(
        id="page_streams",
        tag=TAG,
        summary="All streams, with what is known of their models",
        answer=answered("The streams.", _SHOWN),
    ),
    ("GET", "/console/api/history"): Operation(
        id="page_history",
        tag=TAG,
        summary="What happened to an asset in a time",
        query={
            "stream": "Name of the stream; needed.",
            "asset": "Key of the asset; needed.",
            "from": "Milliseconds since 1970; an hour ago without it.",
            "to": "Milliseconds since 1970; now without it.",
        },
        answer=answered("Points, swaps and drift.", _SHOWN),
    ),
    ("GET", "/console/api/events"): Operation(
        id="page_events",
        tag=TAG,
        summary="What changes, as it changes (server-sent events)",
        answer=answered("Events, without an end.", text(), "text/event-stream"),
        refused=(429,),
    ),
    ("POST", "/console/session"): Operation(
        id="begin_session",
        tag=TAG,
        summary="Begin a session of the page",
        body=Body(
            description="A token that may read.",
            content={JSON: record({"token": text("The token.")})},
        ),
        answer=_SESSION,
        refused=BODY,
    ),
    ("DELETE", "/console/session"): Operation(
        id="end_session",
        tag=TAG,
        summary="End the session of the page",
        answer=_SESSION,
    ),
}


def is_of_the_page(path: str) -> bool:
    """Whether a path is that of the page itself, or of one of its files."""
    return path in {"/", "/console"} or path.startswith("/console/static/")


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Method and path, and the operation, of everything that is described here."""
    yield from _OPERATIONS.items()
