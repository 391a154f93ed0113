"""What is made once for each version that answers, such as what reads its requests."""

from collections.abc import Callable
from typing import Generic, TypeVar

from server.batching.scheduler import Version
from server.streams.served import ServedStreams

Made = TypeVar("Made")


class PerVersion(Generic[Made]):
    """Keeps what was made for a version for as long as the version answers.

    Args:
        served: the streams that are served.
        make: makes it; called once for each bundle.
    """

    def __init__(self, served: ServedStreams, make: Callable[[Version], Made]) -> None:
        self._served, self._make = served, make
        self._made: dict[str, Made] = {}

    def of(self, version: Version) -> Made:
        """What was made for a version."""
        sha256 = version.model.sha256
        found = self._made.get(sha256)
        if found is None:
            serving = self._served.digests
            self._made = {key: one for key, one in self._made.items() if key in serving}
            found = self._made[sha256] = self._make(version)
        return found
