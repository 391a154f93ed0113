"""What requests have come to, counted since the start.

    received = answered + refused + under way

Each of the four is counted by itself, where it happens: a request that is forgotten, or counted
twice, shows.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from serving.histogram import Histogram

UNSENT: Final = 0
"""Status of requests whose client was gone before it was answered."""
_US: Final = 1000
DURATIONS_NS: Final = tuple(
    round(us * _US)
    for us in (100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6,
               1e7, 3e7)
)  # fmt: skip
_KEPT_VERSIONS: Final = 3
"""Versions of a model that serve no more, and are still counted by their numbers."""


class Kind(NamedTuple):
    """What a request was about, and what it was answered.

    Attributes:
        model: name of the model that it has named, which exists; empty without one.
        version: `seq` of the version that was asked; empty without one.
        route: pattern of its path; `none` where that is not known.
        status: HTTP status of the answer, or `UNSENT`.
    """

    model: str
    version: str
    route: str
    status: int


class Series:
    """Requests of one kind.

    Args:
        durations: where their durations are counted, together with those of other versions.

    Attributes:
        count: how many there were.
        durations: as given; nanoseconds.
    """

    __slots__ = ("count", "durations")

    def __init__(self, durations: Histogram) -> None:
        self.count = 0
        self.durations = durations


class Tally:
    """Requests, counted since the start. All methods belong to the event loop's thread.

    Attributes:
        received: requests whose headers were read, and what was refused before.
        answered: requests that were answered with what they asked for.
        refused: requests that were not, by reason.
        under_way: requests that wait for their answer.
        series: requests by kind; those of versions that are long gone are dropped.
        durations: nanoseconds from the headers to the end of the answer, by a kind without its
            version.
        unread: what was refused before it was a request, by status.
    """

    def __init__(self) -> None:
        self.received = self.answered = self.under_way = 0
        self.refused: Counter[str] = Counter()
        self.series: dict[Kind, Series] = {}
        self.durations: dict[Kind, Histogram] = {}
        self.unread: Counter[int] = Counter()

    def begin(self) -> None:
        """Count a request whose headers were read."""
        self.received += 1
        self.under_way += 1

    def end(self, kind: Kind, elapsed_ns: int, reason: str) -> None:
        """Count what a request has come to.

        Args:
            kind: what it was about, and what it was answered.
            elapsed_ns: nanoseconds that it took.
            reason: why it was refused; empty where it was answered.
        """
        self.under_way -= 1
        if reason:
            self.refused[reason] += 1
        else:
            self.answered += 1
        series = self.series.get(kind)
        if series is None:
            series = self._begun(kind)
        series.count += 1
        series.durations.add(elapsed_ns)

    def drop(self, reason: str) -> None:
        """Count a request that was never begun, because its connection ended."""
        self.under_way -= 1
        self.refused[reason] += 1
        self.unread[UNSENT] += 1

    def refuse_unread(self, reason: str, status: int) -> None:
        """Count what was refused before it was a request."""
        self.received += 1
        self.refused[reason] += 1
        self.unread[status] += 1

    def forget(self, serving: Mapping[str, AbstractSet[str]]) -> None:
        """Drop what was counted for versions that are long gone.

        Args:
            serving: versions that answer, by model.
        """
        gone: dict[str, set[str]] = {}
        for model, version, *_ in self.series:
            if version and version not in serving.get(model, ()):
                gone.setdefault(model, set()).add(version)
        for model, versions in gone.items():
            dropped = set(sorted(versions, key=int)[:-_KEPT_VERSIONS])
            for kind in [one for one in self.series if one.model == model]:
                if kind.version in dropped:
                    del self.series[kind]

    def _begun(self, kind: Kind) -> Series:
        of_all = kind._replace(version="")
        durations = self.durations.setdefault(of_all, Histogram(DURATIONS_NS))
        return self.series.setdefault(kind, Series(durations))
