"""Why a connection refuses what is no whole request, or goes on too long."""

from typing import NamedTuple

from server.http.refusals import BODIES, HEADERS, NOT_HTTP, SLOW, TooLargeError


class Fault(NamedTuple):
    """Why a request is refused before it is one.

    Attributes:
        status: HTTP status.
        reason: label of the counter.
        message: what was found, and what is allowed.
    """

    status: int
    reason: str
    message: str


def unreadable(message: str, status: int = 400) -> Fault:
    """The fault of what is no request that can be read."""
    return Fault(status, NOT_HTTP, message)


def too_long(max_bytes: int) -> Fault:
    """The fault of a head, or of trailers, with too many bytes."""
    return Fault(
        431,
        HEADERS,
        f"the request's line and headers, or its trailers, have more than {max_bytes} bytes "
        "(limits.max_header_bytes)",
    )


def too_slow(seconds: float, arrived: int | None) -> Fault:
    """The fault of a client that does not send its request in time.

    Args:
        seconds: seconds that it had.
        arrived: bytes of the body that have arrived; None where the head is not whole either.
    """
    allowed = f"{seconds:g} s (limits.client_s)"
    if arrived is None:
        return Fault(408, SLOW, f"no request came within {allowed}")
    message = f"the body did not arrive within {allowed}: {arrived} bytes came"
    return Fault(408, SLOW, message)


def too_large(found: int, max_bytes: int) -> Fault:
    """The fault of a body with too many bytes."""
    message = f"the body has {found} bytes or more; allowed are {max_bytes} (limits.max_body_bytes)"
    return Fault(413, TooLargeError.reason, message)


def too_many(found: int, max_bytes: int) -> Fault:
    """The fault of a long body, where all of them together have too many bytes."""
    message = f"bodies of {found} bytes are under way; allowed are {max_bytes}"
    return Fault(503, BODIES, f"{message} (limits.max_bodies_bytes)")
