"""Which status of gRPC a refusal has (https://grpc.io/docs/guides/status-codes)."""

from collections.abc import Mapping
from typing import Final

from grpc import StatusCode

from server.http.refusals import RefusedError

_STATUSES: Final[Mapping[int, StatusCode]] = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    413: StatusCode.RESOURCE_EXHAUSTED,
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}


def status(refusal: RefusedError) -> StatusCode:
    """The status of a refusal, by that which it has over HTTP."""
    return _STATUSES.get(refusal.status, StatusCode.INTERNAL)
