"""Keeps drift counts on disk, so that a restart of the agent neither loses nor repeats an alarm.

    hot thread   tick: copy some assets ─► tick: some more ─► ... ─► hand over
    worker                                                            compress, replace the file

There is one file for each stream, for the bundle that serves: counts of another bundle are compared
with another reference. A regular stop writes all counts; a crash costs those since the last write.
Windows that the journal answers again after a crash are not counted (`Pipeline.infer`), as they may
have been counted before.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from agent.streams.drift import DriftWatch
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import Sha256
from models.files import write_atomically
from serving import log
from serving.worker import Worker

MAX_BYTES: Final = 32 << 20
"""Largest state of a stream before compression: 8 MB of histograms, and the names of assets."""
_ASSETS_A_TICK: Final = 100
_FAST: Final = 1  # zlib's fastest level: counts are mostly zeros, a better one gains little
_MODE = 0o600  # for the agent alone, like the journal

_States = Sequence[tuple[str, bytes]]


class _Mark(NamedTuple):
    """Identifies the counts in a file, so that unchanged ones are not written again.

    Attributes:
        sha256: digest of the bundle.
        counted: how many samples had been counted in this run of the agent.
    """

    sha256: str
    counted: int


class _Head(BaseModel):
    """The first line of a file; the states follow, one for each asset, all of the same length."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    bundle: Sha256
    assets: tuple[str, ...]


class KeptDrift:
    """Writes drift counts from time to time, and restores them at the start.

    All methods belong to the hot thread. `restore` reads files, and is called before the agent
    connects; the others never wait for the disk.

    Args:
        folder: the folder of the files, which has no other content.
        interval_s: time from one write to the next, seconds. It takes longer with very many
            assets, or while the worker is busy with an update.
        pipelines: the pipelines whose drift is counted.
        worker: the thread that writes.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        interval_s: float,
        pipelines: Sequence[Pipeline],
        worker: Worker,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._interval_s = interval_s
        self._pipelines = pipelines
        self._worker = worker
        self._clock = clock
        self._due_s = clock() + interval_s
        self._copying: Iterator[None] = iter(())
        self._unwritten = 0
        self._written: dict[str, _Mark] = {}  # by stream
        self._is_failing = False  # used on the worker only

    def restore(self) -> None:
        """Restore the counts of the last run; to be called before any sample is noted.

        A file that cannot be used is logged, and its stream starts to count from zero.
        """
        for pipeline in self._pipelines:
            if pipeline.model is not None and pipeline.watch is not None:
                self._restore(pipeline.stream, pipeline.model.sha256, pipeline.watch)
        streams = {pipeline.stream for pipeline in self._pipelines}
        for path in self._folder.glob("*"):
            if path.name not in streams:
                _remove(path)  # the stream is no longer configured, or a power cut left half a file

    def tick(self) -> None:
        """Copy the counts of a few more assets; to be called about once a second."""
        if next(self._copying, "end") == "end" and self._clock() >= self._due_s:
            self._due_s = self._clock() + self._interval_s
            if not self._unwritten:
                self._copying = self._copy()

    def close(self) -> None:
        """Hand over all counts; to be called before the worker stops, which writes them first."""
        for _ in self._copy():
            pass

    def _restore(self, stream: str, sha256: str, watch: DriftWatch) -> None:
        try:
            head, states = _read(self._folder / stream)
            if head.bundle == sha256:
                watch.restore(states)
        except FileNotFoundError:
            return
        except (OSError, ValueError, zlib.error) as exc:
            log.warning("kept drift refused, counting starts anew", stream=stream, reason=str(exc))
            return
        if head.bundle == sha256:
            log.info("drift restored", stream=stream, assets=len(states))
        else:
            log.info("kept drift is of another bundle, counting starts anew", stream=stream)

    def _copy(self) -> Iterator[None]:
        """Copy and hand over counts that have changed, stream by stream; yields every few assets.

        The counts of one asset do not depend on those of another, so they may be copied seconds
        apart.
        """
        copied = count(1)
        for pipeline in self._pipelines:
            model, watch = pipeline.model, pipeline.watch
            if model is None or watch is None:
                continue
            mark = _Mark(model.sha256, watch.counted)
            if not mark.counted or self._written.get(pipeline.stream) == mark:
                continue
            states = []
            for state in watch.states():
                states.append(state)
                if next(copied) % _ASSETS_A_TICK == 0:
                    yield
            self._unwritten += 1
            self._worker.submit(partial(self._write, pipeline.stream, states, mark))

    def _write(self, stream: str, states: _States, mark: _Mark) -> Callable[[], None]:
        """Write a file on the worker; returns what the hot thread is to call afterwards.

        What cannot be written is tried again after the next interval.
        """
        try:
            write_atomically(self._folder / stream, _packed(mark.sha256, states), mode=_MODE)
        except OSError as exc:
            if not self._is_failing:
                log.warning("drift counts cannot be written to disk", reason=exc.strerror)
            self._is_failing = True
            return partial(self._has_tried, stream, None)
        self._is_failing = False
        return partial(self._has_tried, stream, mark)

    def _has_tried(self, stream: str, mark: _Mark | None) -> None:
        self._unwritten -= 1
        if mark is not None:
            self._written[stream] = mark


def _packed(sha256: str, states: _States) -> bytes:
    """The bytes of a file. zlib adds a checksum, and releases the GIL while it compresses."""
    packer = zlib.compressobj(_FAST)
    head = _Head(bundle=sha256, assets=tuple(asset for asset, _ in states))
    parts = (head.model_dump_json().encode(), b"\n", *(state for _, state in states))
    return b"".join((*map(packer.compress, parts), packer.flush()))


def _read(path: Path) -> tuple[_Head, _States]:
    """The content of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is cut off, is too long, or has not the format of this release.
        zlib.error: its checksum is wrong.
    """
    with path.open("rb") as file:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(file.read(MAX_BYTES), MAX_BYTES)
    if not unpacker.eof:
        raise ValueError(f"the file is cut off, or has more than {MAX_BYTES} bytes")
    end = content.index(b"\n") + 1
    head = _Head.model_validate_json(content[:end])
    length = (len(content) - end) // max(1, len(head.assets))
    states = [content[at : at + length] for at in range(end, len(content), length)]
    return head, list(zip(head.assets, states, strict=True))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("old drift counts cannot be removed", reason=exc.strerror)
