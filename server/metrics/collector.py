"""Reads what the server has counted, when Prometheus asks for it.

The counters are plain numbers where things happen. The event loop's thread reads all of them in one
go, so that what balances does so in every answer.
"""

import sys
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import version
from typing import Final, NamedTuple

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from server.batching.measures import Measures
from server.http.refusals import reasons
from server.http.request import NO_ROUTE
from server.http.tally import UNSENT, Tally
from server.metrics import families
from server.metrics.samples import Labelled, histogram, info, plain
from server.streams.announcer import OUTCOMES, Notices
from server.streams.served import ServedStreams
from serving.program.installation import installed_version

_NS_PER_S: Final = 1_000_000_000


class Sources(NamedTuple):
    """Where the numbers are.

    Attributes:
        tally: requests.
        served: streams, and the versions of their models.
        notices: how updates went.
        connections: how many clients are connected.
        troubles: streams whose last try to follow the registry has failed.
    """

    tally: Tally
    served: ServedStreams
    notices: Notices
    connections: Callable[[], int]
    troubles: Callable[[], Collection[str]]


class ServerCollector(Collector):
    """Reads all numbers of the server.

    Args:
        sources: where they are.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._build = (
            version("millhand"),
            sys.version.split()[0],
            installed_version("onnxruntime"),
        )

    def collect(self) -> Iterator[Metric]:
        """All families, each with its samples."""
        yield from self._requests(self._sources.tally)
        yield from self._runs()
        yield from self._models()
        yield from self._updates()
        yield info(families.BUILD, [self._build])
        yield plain(families.WORKERS, [((), 1)])
        yield plain(families.WORKER_DEATHS, [((), 0)])  # the parent of the workers counts them

    def _requests(self, tally: Tally) -> Iterator[Metric]:
        refused = {**dict.fromkeys(sorted(reasons()), 0), **tally.refused}
        yield plain(families.RECEIVED, [((), tally.received)])
        yield plain(families.ANSWERED, [((), tally.answered)])
        yield plain(families.REFUSED, (((reason,), count) for reason, count in refused.items()))
        yield plain(families.UNDER_WAY, [((), tally.under_way)])
        yield plain(families.REQUESTS, _counted(tally))
        durations = (
            ((kind.model, kind.route, _code(kind.status)), one)
            for kind, one in tally.durations.items()
        )
        yield histogram(families.DURATION, durations, _NS_PER_S)
        yield plain(families.CONNECTIONS, [((), self._sources.connections())])

    def _runs(self) -> Iterator[Metric]:
        found = {name: slot.measures for name, slot in self._sources.served.slots.items()}
        batches = (((name,), one.batches) for name, one in found.items())
        yield histogram(families.BATCH_WINDOWS, batches)
        stages = (
            ((name, stage), spent_ns / _NS_PER_S)
            for name, one in found.items()
            for stage, spent_ns in _stages(one).items()
        )
        yield plain(families.STAGES, stages)
        busy = (((name,), one.busy_ns / _NS_PER_S) for name, one in found.items())
        yield plain(families.BUSY, busy)
        yield plain(families.FAILED_RUNS, (((name,), one.failed) for name, one in found.items()))
        explanations = (
            ((name, outcome), count)
            for name, one in found.items()
            for outcome, count in (("given", one.explained), ("left_out", one.unexplained))
        )
        yield plain(families.EXPLANATIONS, explanations)

    def _models(self) -> Iterator[Metric]:
        slots = self._sources.served.slots.items()
        waiting = (
            ((name,), sum(one.waiting.windows for one in slot.versions)) for name, slot in slots
        )
        yield plain(families.WAITING, waiting)
        yield plain(families.VERSIONS, (((name,), len(slot.versions)) for name, slot in slots))
        versions = (
            (
                name,
                one.seq,
                one.model.manifest.version,
                one.model.sha256,
                "default" if one is slot.versions[0] else "earlier",
            )
            for name, slot in slots
            for one in slot.versions
        )
        yield info(families.MODEL, versions)
        failing = (
            ((name,), float(slot.failure is not None and slot.failure.is_lasting))
            for name, slot in slots
        )
        yield plain(families.FAILING, failing)

    def _updates(self) -> Iterator[Metric]:
        names, ended = list(self._sources.served.slots), self._sources.notices.ended
        reloads = (((name, word), ended[name, word]) for name in names for word in OUTCOMES)
        yield plain(families.RELOADS, reloads)
        troubles = self._sources.troubles()
        yield plain(families.UPDATE_FAILING, (((name,), float(name in troubles)) for name in names))


def _counted(tally: Tally) -> Iterator[Labelled]:
    """Requests by kind, and what was refused before it was a request."""
    for kind, one in tally.series.items():
        yield (*kind[:3], _code(kind.status)), one.count
    for status, count in tally.unread.items():
        yield ("", "", NO_ROUTE, _code(status)), count


def _code(status: int) -> str:
    return "none" if status == UNSENT else str(status)


def _stages(measures: Measures) -> dict[str, int]:
    """Nanoseconds by stage, in their order."""
    return {
        "decode": measures.decode.total_ns,
        "queue": measures.waited_ns,
        "run": measures.ran_ns,
        "encode": measures.encode.total_ns,
    }
