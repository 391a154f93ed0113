"""Models of 50, 200 and 1,000 MB: pulled in pieces, proven, served and swapped by the server.

Each bundle comes from a web server that breaks off twice, so that the pull has to resume. Memory is
the peak of the process concerned, as the kernel counts it (VmHWM); of the server that serves it is
its share of all pages (PSS). During a swap a client asks for one window after the other; an answer
that took longer than `limits.inference_s` is counted as interrupted.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Final

import psutil

from benchmarks.errors import BenchmarkError
from benchmarks.report.views import Table
from tests.kit.bundles.large import KINDS, LENGTH, SIGNALS, LargeGraph, write_large_bundle
from tests.kit.bundles.mirrors import Fault, mirror
from tests.kit.bundles.published import Published
from tests.kit.errors import KitError
from tests.kit.model_server import ModelServer
from tests.kit.waiting import eventually

SIZES_MB: Final = (50, 200, 1000)
_LOOK_S: Final = 0.01
_PATIENCE_S: Final = 900.0
_PULL, _PROOF = "serving.registry.pull_child", "serving.proof.trial_child"
_BODY: Final = {
    "inputs": [
        {
            "name": "window",
            "datatype": "FP32",
            "shape": [1, LENGTH, SIGNALS],
            "data": [0.5] * LENGTH * SIGNALS,
        }
    ]
}
_HEADERS: Final = (
    "model",
    "bundle MB",
    "pull s (MB)",
    "proof s (MB)",
    "first answer s",
    "server MB",
    "peak MB",
    "answer ms",
    "longest in a swap ms",
    "peak of a swap MB",
    "restart s",
)


@dataclass
class _Seen:
    """A kind of child process: seconds from its first to its last sight, and its peak memory."""

    seconds: float = 0.0
    peak_mb: float = 0.0
    begun: dict[int, float] = field(default_factory=dict)

    def note(self, pid: int) -> None:
        with suppress(OSError, StopIteration):
            self.peak_mb = max(self.peak_mb, peak_mb(pid))
        now = monotonic()
        self.seconds = max(self.seconds, now - self.begun.setdefault(pid, now))

    def __str__(self) -> str:
        return f"{self.seconds:.1f} ({self.peak_mb:.0f})"


def peak_mb(pid: int) -> float:
    """The peak of the memory of a process since it began, or since it was reset."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1e3


def measured(folder: Path, kind: str, size_mb: int) -> tuple[str, ...]:
    """Publish two versions of a model, and have a server pull, prove, serve and swap them.

    Returns:
        A row of the table, as text.
    """
    published = Published.create(folder)
    first, second = (_made(folder, kind, size_mb, seq) for seq in (1, 2))
    size = first.stat().st_size
    with mirror(published.folder) as site:
        site.faults[f"{published.publish_file(first).sha256}.zip"] = Fault(cut_after=size * 2 // 5)
        with (
            ModelServer(
                folder / "home",
                published,
                [{"stream": "large"}],
                _sections(site.url, size),
                start_s=_PATIENCE_S,
            ) as server,
            _watched(server) as seen,
        ):
            begun = monotonic()
            server.start_serving()
            ready_s = monotonic() - begun
            server.request("POST", "/v2/models/large/infer", _BODY)
            cells = [f"{size / 1e6:.0f}", str(seen[_PULL]), str(seen[_PROOF]), f"{ready_s:.1f}"]
            cells += [f"{_pss_mb(server):.0f}", f"{peak_mb(server.process.pid):.0f}"]
            cells += _swapped(server, published, second)
            server.kill()
            begun = monotonic()
            server.start_serving()
            cells.append(f"{monotonic() - begun:.1f}")
    return (f"{kind}, {size_mb} MB", *cells)


def table(rows: Sequence[tuple[str, ...]]) -> Table:
    """The figures as a table."""
    return Table("Large models", _HEADERS, tuple(rows))


def cases() -> list[tuple[str, int]]:
    """Kind and size of each model, the small ones first."""
    return [(kind, size) for size in SIZES_MB for kind in KINDS]


def _made(folder: Path, kind: str, size_mb: int, seq: int) -> Path:
    """Write a bundle, in a process whose memory is free afterwards."""
    path = folder / f"large-{seq}.zip"
    with ProcessPoolExecutor(1) as one:
        graph = LargeGraph(kind, size_mb, bias=1000.0 * seq)
        one.submit(write_large_bundle, path, seq, graph).result()
    return path


def _sections(url: str, size: int) -> dict[str, dict[str, object]]:
    memory = 4 * size + (256 << 20)
    return {
        "registry": {"url": url, "poll_s": 3.0, "max_bundle_bytes": size + 1024},
        "proof": {"memory_bytes": memory, "seconds": 600.0},
    }


def _swapped(server: ModelServer, published: Published, second: Path) -> list[str]:
    """Times of answers before and while the second version comes, and the peak of the memory."""
    usual = [_asked(server) for _ in range(20)]
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # proc(5): resets the peak
    taken, enough = _Taken(), threading.Event()

    def ask() -> None:
        while not enough.is_set():
            taken.note(server)

    client = threading.Thread(target=ask)
    client.start()
    try:
        published.publish_file(second)
        versions = ["2"]
        eventually(lambda: _versions(server) == versions, _PATIENCE_S, "the swap")
    finally:
        enough.set()
        client.join()
    peak = peak_mb(server.process.pid)
    return [f"{1e3 * median(usual):.1f}", str(taken), f"{peak:.0f}"]


@dataclass
class _Taken:
    """What answers took: the longest time in seconds, and how many were interrupted."""

    longest_s: float = 0.0
    interrupted: int = 0

    def note(self, server: ModelServer) -> None:
        begun = monotonic()
        try:
            _asked(server)
        except _InterruptedError:
            self.interrupted += 1
        self.longest_s = max(self.longest_s, monotonic() - begun)

    def __str__(self) -> str:
        interrupted = f" ({self.interrupted} interrupted)" if self.interrupted else ""
        return f"{1e3 * self.longest_s:.0f}{interrupted}"


class _InterruptedError(BenchmarkError):
    """A run took longer than `limits.inference_s`."""


def _asked(server: ModelServer) -> float:
    begun = monotonic()
    reply = server.request("POST", "/v2/models/large/infer", _BODY)
    if reply.status != HTTPStatus.OK:
        kind = _InterruptedError if "(timed_out)" in reply.error else BenchmarkError
        raise kind(f"a request was answered by {reply.status}: {reply.error}")
    return monotonic() - begun


def _versions(server: ModelServer) -> object:
    return server.request("GET", "/v2/models/large").document["versions"]


def _pss_mb(server: ModelServer) -> float:
    pss: int = psutil.Process(server.process.pid).memory_full_info().pss
    return pss / 1e6


@contextmanager
def _watched(server: ModelServer) -> Iterator[dict[str, _Seen]]:
    """Watch the children of the server by the module that they run."""
    seen, enough = {_PULL: _Seen(), _PROOF: _Seen()}, threading.Event()

    def look() -> None:
        while not enough.is_set():
            with suppress(psutil.Error, KitError):
                for child in psutil.Process(server.process.pid).children():
                    module = "".join(child.cmdline()[-1:])
                    if module in seen:  # not yet, where it was just forked
                        seen[module].note(child.pid)
            sleep(_LOOK_S)

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        yield seen
    finally:
        enough.set()
        watch.join()
