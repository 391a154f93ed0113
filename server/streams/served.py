"""All streams that are served: found by name, and asked for predictions."""

from collections.abc import Awaitable, Mapping
from collections.abc import Set as AbstractSet
from time import monotonic, perf_counter_ns
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from server.batching.job import Job, Outputs
from server.batching.scheduler import Scheduler, Version
from server.http.refusals import NotFoundError, UnavailableError
from server.http.request import Request
from server.streams.slot import StreamSlot

_NAME_CHARACTERS = 64


class Counted(Protocol):
    """A request over HTTP or gRPC, which is counted under a model and a version.

    Attributes:
        model: name of the model; empty until one is found.
        version: `seq` of the version; empty until one is found.
    """

    model: str
    version: str


class ServedStreams:
    """The streams of the configuration, and the versions of their models that answer.

    Args:
        slots: the streams by name.
        scheduler: gives models their batches.
        request_s: seconds in which a request must be answered, unless it asks for less.

    Attributes:
        slots: as given.
        request_s: as given.
        is_stopping: whether requests for predictions are refused, because the server ends.
    """

    def __init__(
        self, slots: Mapping[str, StreamSlot], scheduler: Scheduler, request_s: float
    ) -> None:
        self.slots = slots
        self.is_stopping = False
        self._scheduler = scheduler
        self.request_s = request_s

    def slot(self, name: str) -> StreamSlot:
        """The stream of a name.

        Raises:
            NotFoundError: the configuration has no such stream.
        """
        found = self.slots.get(name)
        if found is None:
            shown = name[:_NAME_CHARACTERS]
            raise NotFoundError(f"there is no model '{shown}'; there are {', '.join(self.slots)}")
        return found

    def requested(self, request: Request) -> Version:
        """The version that a request names by its path, under which it is counted.

        Raises:
            NotFoundError: there is no such stream or version.
            UnavailableError: no model of the stream has arrived yet.
        """
        names = request.names
        return self.chosen(request, names.get("model") or names["stream"], names.get("version", ""))

    def chosen(self, request: Counted, name: str, version: str = "") -> Version:
        """A version by its seq or its semantic version, under which the request is counted.

        Raises:
            NotFoundError: there is no such stream or version.
            UnavailableError: no model of the stream has arrived yet.
        """
        slot = self.slot(name)
        request.model = slot.stream
        found = slot.find(version)
        request.version = found.seq
        return found

    @property
    def versions(self) -> list[Version]:
        """All versions that answer."""
        return [one for slot in self.slots.values() for one in slot.versions]

    @property
    def digests(self) -> AbstractSet[str]:
        """SHA-256 of the bundles that answer."""
        return {one.model.sha256 for one in self.versions}

    def check_ready(self) -> None:
        """Do nothing where every stream has a model, or was unloaded by a client.

        Raises:
            UnavailableError: a stream has none yet.
        """
        slots = self.slots.items()
        lacking = [name for name, slot in slots if not slot.versions and not slot.is_unloaded]
        if lacking:
            raise UnavailableError(f"no model has arrived yet of {', '.join(lacking)}")

    def answer(
        self, version: Version, windows: NDArray[np.float32], timeout_s: float | None = None
    ) -> Awaitable[Outputs]:
        """Have a version answer windows, together with others that wait for it.

        Args:
            version: the version.
            windows: float32 `[n, length, channels]` in engineering units, NaN = missing.
            timeout_s: seconds that the client gives; None: as long as the configuration allows.

        Raises:
            UnavailableError: the server is stopping.
            OverloadError: too many windows wait for the version.
            LateError: the time was over before the model got to it.
            ModelError: the model failed on the windows.
        """
        if self.is_stopping:
            raise UnavailableError("the server is stopping; try again later")
        return self.finish(version, windows, timeout_s)

    async def finish(
        self, version: Version, windows: NDArray[np.float32], timeout_s: float | None = None
    ) -> Outputs:
        """As `answer`, also while the server stops: for what was let in before.

        Raises:
            OverloadError: too many windows wait for the version.
            LateError: the time was over before the model got to it.
            ModelError: the model failed on the windows.
        """
        outputs = await self.ask(version, windows, timeout_s)
        version.requests += 1
        return outputs

    async def ask(
        self, version: Version, windows: NDArray[np.float32], timeout_s: float | None = None
    ) -> Outputs:
        """As `finish`, for windows that are no request of their own, as those of an explanation.

        Raises:
            OverloadError, LateError, ModelError: see `answer`.
        """
        longest_s = min(timeout_s or self.request_s, self.request_s)
        job = Job(windows, monotonic() + longest_s)
        began_ns = perf_counter_ns()
        try:
            return await self._scheduler.submit(version, job)
        finally:
            version.measures.note(perf_counter_ns() - began_ns, job.run_ns)
