"""Which scope a request needs.

| scope | paths |
| --- | --- |
| none | /v2/health/live, /v2/health/ready, /ping, /health, /console/session |
| none | /, /console, /console/static/...: the page itself, without anything of the plant |
| infer | POST .../infer, /v1/streams/{stream}/predict, /invocations |
| read | everything else that changes nothing |
| admin | everything else, such as loading and unloading a model |
"""

from typing import Final

from server.access.settings import Scope

_OPEN: Final = frozenset(
    {"/v2/health/live", "/v2/health/ready", "/ping", "/health", "/", "/console", "/console/session"}
)
"""What tells whether the server lives, and what a person needs to bring a token."""
_OPEN_FOLDER: Final = "/console/static/"
_READING: Final = frozenset({"GET", "HEAD"})


def needed(method: str, pattern: str) -> Scope | None:
    """The scope that a request needs; None where everybody may ask.

    Args:
        method: method, in capitals.
        pattern: path with `{names}`.
    """
    if pattern in _OPEN or pattern.startswith(_OPEN_FOLDER):
        return None
    if method == "POST":
        if pattern.endswith(("/infer", "/predict")) or pattern == "/invocations":
            return "infer"
        if pattern == "/v2/repository/index":  # Triton's extension asks for the list by POST
            return "read"
    return "read" if method in _READING else "admin"
