"""One turn of one contender, and the table of all turns."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.experiments.costs import cpu_seconds, memory
from benchmarks.http.contenders import OURS, Contender
from benchmarks.http.load import send
from benchmarks.report.views import spread

CONNECTIONS = (1, 32)
_US_PER_S = 1_000_000
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender has done in one turn.

    Attributes:
        number: number of the round.
        contender: name of the contender.
        case: name of the request.
        connections: number of connections, each with one request at a time.
        cpu_us: processor time of all its processes for a request, microseconds.
        p50_ms: median time from a request to its answer, milliseconds.
        rate: requests a second.
        pss_mb: proportional set size of all its processes after the turn, MB.
    """

    number: int
    contender: str
    case: str
    connections: int
    cpu_us: float
    p50_ms: float
    rate: float
    pss_mb: float


def take(contender: Contender, place: tuple[int, str, int], seconds: int, folder: Path) -> Turn:
    """Have one contender answer for some seconds.

    Args:
        contender: the contender.
        place: number of the round, name of the request, and number of connections.
        seconds: measured seconds.
        folder: folder for the body of the request.

    Raises:
        BenchmarkError: a request failed.
    """
    number, case, connections = place
    before_s = sum(map(cpu_seconds, _processes(contender.pid)))
    outcome = send(contender.port, contender.posts[case], connections, seconds, folder)
    used_s = sum(map(cpu_seconds, _processes(contender.pid))) - before_s
    return Turn(
        number,
        contender.name,
        case,
        connections,
        cpu_us=used_s * _US_PER_S / outcome.requests,
        p50_ms=outcome.p50_us / 1000,
        rate=outcome.requests / outcome.seconds,
        pss_mb=sum(memory(pid).pss_bytes for pid in _processes(contender.pid)) / _MB,
    )


def rows(turns: Sequence[Turn]) -> Iterator[tuple[str, ...]]:
    """The rows of the table: medians with the least and the most, and ratios within each round."""
    for case, connections, name in dict.fromkeys(
        (one.case, one.connections, one.contender) for one in turns
    ):
        found = [one for one in turns if (one.case, one.connections) == (case, connections)]
        ours = {one.number: one for one in found if one.contender == OURS}
        theirs = [one for one in found if one.contender == name]
        yield (
            case,
            str(connections),
            name,
            spread([one.cpu_us for one in theirs]),
            spread([one.cpu_us / ours[one.number].cpu_us for one in theirs]),
            spread([one.p50_ms for one in theirs]),
            spread([one.p50_ms / ours[one.number].p50_ms for one in theirs]),
            spread([one.rate for one in theirs]),
            spread([one.pss_mb for one in theirs]),
        )


def _processes(session: int) -> list[int]:
    """Ids of the processes of a session (setsid(2)), which a contender and its children share."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getsid(int(folder.name)) == session:
                    found.append(int(folder.name))
            except ProcessLookupError:
                continue
    return found
