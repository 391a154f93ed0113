"""Requests that are refused: each with its HTTP status, a reason for the counters, and a sentence.

    400 bad_request   404 not_found      405 method   408 slow   413 too_large
    415 encoding      429 overload       431 headers  500 model  503 unavailable   504 late

The body is `{"error": "..."}`, which is what clients of the Open Inference Protocol show; only
`/invocations` answers as MLflow does.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from models.errors import MillhandError

Headers = Sequence[tuple[bytes, bytes]]
BODIES: Final = "bodies"
"""Reason of long bodies, where all of them together are beyond `limits.max_bodies_bytes`."""
BUG: Final = "bug"
"""Reason of requests that failed by a mistake in this program."""
CONNECTIONS: Final = "connections"
"""Reason of connections beyond `limits.max_connections`."""
HEADERS: Final = "headers"
"""Reason of requests whose line and headers are beyond `limits.max_header_bytes`."""
NOT_HTTP: Final = "not_http"
"""Reason of bytes that are no HTTP."""
SLOW: Final = "slow"
"""Reason of requests that did not arrive within `limits.client_s`."""
WORKER_DIED: Final = "worker_died"
"""Reason of requests that ended with the worker that had them."""


class RefusedError(MillhandError):
    """A request that is not answered; the message says what was found and what is allowed.

    Attributes:
        status: HTTP status (RFC 9110, section 15).
        reason: label of the counter.
        document: what the body is, where a client expects another than the usual one.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    reason: ClassVar[str] = "bad_request"
    document: Mapping[str, str] | None = None

    @property
    def headers(self) -> Headers:
        """Headers that the answer has beside the usual ones."""
        return ()


class NotFoundError(RefusedError):
    """There is no such path, model or version."""

    status: ClassVar[int] = 404
    reason: ClassVar[str] = "not_found"


class MethodError(RefusedError):
    """The path is there, and has no such method.

    Args:
        message: what was found.
        allowed: methods that the path has.
    """

    status: ClassVar[int] = 405
    reason: ClassVar[str] = "method"

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self._allowed = ", ".join(sorted(allowed)).encode()

    @property
    def headers(self) -> Headers:
        """The header that names the methods there are (RFC 9110, 15.5.6)."""
        return ((b"allow", self._allowed),)


class TooLargeError(RefusedError):
    """The body is longer than `limits.max_body_bytes`."""

    status: ClassVar[int] = 413
    reason: ClassVar[str] = "too_large"


class EncodingError(RefusedError):
    """The body has a content coding that is not known."""

    status: ClassVar[int] = 415
    reason: ClassVar[str] = "encoding"


class OverloadError(RefusedError):
    """So many windows wait for the model already that these would not be answered in time."""

    status: ClassVar[int] = 429
    reason: ClassVar[str] = "overload"

    @property
    def headers(self) -> Headers:
        """When to try again, in seconds."""
        return ((b"retry-after", b"1"),)


class ModelError(RefusedError):
    """The model has failed on the windows of the request."""

    status: ClassVar[int] = 500
    reason: ClassVar[str] = "model"


class UnavailableError(RefusedError):
    """There is no model yet, or the server stops."""

    status: ClassVar[int] = 503
    reason: ClassVar[str] = "unavailable"

    @property
    def headers(self) -> Headers:
        """When to try again, in seconds."""
        return ((b"retry-after", b"5"),)


class LateError(RefusedError):
    """The request was not answered within its time."""

    status: ClassVar[int] = 504
    reason: ClassVar[str] = "late"


def reasons(kind: type[RefusedError] = RefusedError) -> set[str]:
    """All reasons for which requests are refused."""
    found = {kind.reason, BODIES, BUG, CONNECTIONS, HEADERS, NOT_HTTP, SLOW, WORKER_DIED}
    return found.union(*(reasons(one) for one in kind.__subclasses__()))
