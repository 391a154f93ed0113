"""The place where the models of one stream serve: the newest version, and those before it."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from models.bundle.identity import BundleRef
from server.batching.measures import Measures
from server.batching.scheduler import Version
from server.batching.waiting import Waiting
from server.http.refusals import NotFoundError, UnavailableError
from server.settings import Stream
from serving.failure import Failure
from serving.model import Model


class StreamSlot:
    """The versions of a stream that answer (`serving.updates.slot.Slot`).

    All methods but `prepare` belong to the event loop's thread.

    Args:
        settings: name of the stream, and how many versions answer at a time.
        max_waiting: windows that may wait for each of them.

    Attributes:
        stream: name of the stream.
        versions: the versions that answer, the one that clients get by default first.
        measures: what their requests take.
        is_unloaded: whether none answers because a client has unloaded the model.
        elsewhere: what models fail with in other workers, by the digest of the bundle.
    """

    def __init__(self, settings: Stream, max_waiting: int) -> None:
        self.stream = settings.stream
        self.versions: tuple[Version, ...] = ()
        self.measures = Measures()
        self.is_unloaded = False
        self.elsewhere: Mapping[str, Failure] = {}
        self._most = settings.versions
        self._max_waiting = max_waiting

    @property
    def model(self) -> Model | None:
        """The model that serves by default, None until one is activated."""
        return self.versions[0].model if self.versions else None

    @property
    def failure(self) -> Failure | None:
        """What that model fails with on live windows; None if it answered the last batch."""
        return self._failure(self.versions[0]) if self.versions else None

    def prepare(self, model: Model) -> Callable[[], bool]:
        """Make everything ready for a model; what is returned swaps it in by one reference.

        Requests that wait for the version before are answered by it.
        """
        version = self._version(model)

        def swap() -> bool:
            # A version that is replaced because it fails must not answer under its number either.
            others = [
                one
                for one in self.versions
                if one.model.sha256 != model.sha256
                and not ((failure := self._failure(one)) is not None and failure.is_lasting)
            ]
            self.versions = (version, *others[: self._most - 1])
            return False

        return swap

    def add_earlier(self, model: Model) -> None:
        """Have a version answer that served before the others, where there is room for it."""
        known = {one.model.sha256 for one in self.versions}
        if model.sha256 not in known and len(self.versions) < self._most:
            self.versions = (*self.versions, self._version(model))

    def keep(self, digests: AbstractSet[str]) -> None:
        """Have no version answer but those of these bundles, and the one by default."""
        first, *others = self.versions
        self.versions = (first, *(one for one in others if one.model.sha256 in digests))

    def unload(self) -> None:
        """Answer no more; requests that wait are refused, and a batch under way is answered."""
        self.is_unloaded = True
        for version in self.versions:
            version.waiting.clear(self._nothing())
        self.versions = ()

    def find(self, name: str = "") -> Version:
        """The version of a name: its seq, or its semantic version; without one the newest.

        Raises:
            UnavailableError: no model of the stream has arrived yet, or it was unloaded.
            NotFoundError: no version that answers has the name.
        """
        if not self.versions:
            raise self._nothing()
        if not name:
            return self.versions[0]
        for version in self.versions:
            if name in {version.seq, version.model.manifest.version}:
                return version
        raise NotFoundError(
            f"'{self.stream}' has no version '{name[:40]}'; there are "
            + ", ".join(f"{one.seq} ({one.model.manifest.version})" for one in self.versions)
        )

    def _failure(self, version: Version) -> Failure | None:
        """What a version fails with, here or in another worker."""
        return self.elsewhere.get(version.model.sha256) or version.failure

    def _version(self, model: Model) -> Version:
        return Version(model, Waiting(self._max_waiting), self.measures)

    def _nothing(self) -> UnavailableError:
        if self.is_unloaded:
            return UnavailableError(f"'{self.stream}' was unloaded by a request; load it again")
        return UnavailableError(
            f"no model of '{self.stream}' has arrived yet; the log says what is waited for"
        )

    @property
    def named(self) -> Sequence[str]:
        """The numbers of the versions that answer."""
        return [one.seq for one in self.versions]

    @property
    def refs(self) -> Sequence[BundleRef]:
        """The bundles of the versions that answer."""
        return [one.model.ref for one in self.versions]
