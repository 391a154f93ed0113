"""What drift was counted, on disk: a restart of the agent neither forgets it nor tells it again.

    hot thread   tick: copy some assets ─► tick: some more ─► ... ─► hand over
    worker                                                            compress, replace the file

A file a stream, of the bundle that served: the counts of another one mean nothing. A stop writes
what is there; a crash costs what was counted since the last writing. What such a crash has the
journal answer again is not counted (`Pipeline.infer`), as it may have been before.
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
"""Of a stream, unpacked: 8 MB of histograms, and the names of assets."""
_ASSETS_A_TICK: Final = 100
_FAST: Final = 1  # counts are mostly zeros: a better level takes longer and gains little
_MODE = 0o600  # as the journal's

_States = Sequence[tuple[str, bytes]]


class _Mark(NamedTuple):
    """What a file has: of which bundle, and after how many samples of this run."""

    sha256: str
    counted: int


class _Head(BaseModel):
    """The first line; after it come the states, one an asset and all of one length."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    bundle: Sha256
    assets: tuple[str, ...]


class KeptDrift:
    """Writes what is counted from time to time, and brings it back at a start.

    Args:
        folder: of the files; it holds nothing else.
        interval_s: from one writing to the next. Very many assets take longer, and so does an
            update that the worker is busy with.
        pipelines: whose drift it is.
        worker: writes.
        clock: monotonic seconds.
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
        self._is_failing = False  # the worker's own

    def restore(self) -> None:
        """Go on where the last run ended; to be called before anything is counted."""
        for pipeline in self._pipelines:
            if pipeline.model is not None and pipeline.watch is not None:
                self._restore(pipeline.stream, pipeline.model.sha256, pipeline.watch)
        streams = {pipeline.stream for pipeline in self._pipelines}
        for path in self._folder.glob("*"):
            if path.name not in streams:
                _remove(path)  # of a stream that was dropped, or half written when the power went

    def tick(self) -> None:
        """Copy a few more assets; to be called about once a second."""
        if next(self._copying, "end") == "end" and self._clock() >= self._due_s:
            self._due_s = self._clock() + self._interval_s
            if not self._unwritten:
                self._copying = self._copy()

    def close(self) -> None:
        """Hand over all that is there."""
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
            log.warning("kept drift refused, it begins anew", stream=stream, reason=str(exc))
            return
        if head.bundle == sha256:
            log.info("drift restored", stream=stream, assets=len(states))
        else:
            log.info("kept drift is of another bundle, it begins anew", stream=stream)

    def _copy(self) -> Iterator[None]:
        """Copy and hand over what has changed, stream by stream; pauses after every few assets.

        What is counted of an asset stands for itself: the others may be copied seconds later.
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
        """On the worker; what cannot be written is tried again at the next time."""
        try:
            write_atomically(self._folder / stream, _packed(mark.sha256, states), mode=_MODE)
        except OSError as exc:
            if not self._is_failing:
                log.warning("drift cannot be kept on disk", reason=exc.strerror)
            self._is_failing = True
            return partial(self._has_tried, stream, None)
        self._is_failing = False
        return partial(self._has_tried, stream, mark)

    def _has_tried(self, stream: str, mark: _Mark | None) -> None:
        self._unwritten -= 1
        if mark is not None:
            self._written[stream] = mark


def _packed(sha256: str, states: _States) -> bytes:
    """The bytes of a file; zlib adds a checksum, and leaves other threads alone meanwhile."""
    packer = zlib.compressobj(_FAST)
    head = _Head(bundle=sha256, assets=tuple(asset for asset, _ in states))
    parts = (head.model_dump_json().encode(), b"\n", *(state for _, state in states))
    return b"".join((*map(packer.compress, parts), packer.flush()))


def _read(path: Path) -> tuple[_Head, _States]:
    """What a file says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is cut off, too long, or not what this release writes.
        zlib.error: it is damaged.
    """
    with path.open("rb") as file:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(file.read(MAX_BYTES), MAX_BYTES)
    if not unpacker.eof:
        raise ValueError("it is cut off or too long")
    end = content.index(b"\n") + 1
    head = _Head.model_validate_json(content[:end])
    length = (len(content) - end) // max(1, len(head.assets))
    states = [content[at : at + length] for at in range(end, len(content), length)]
    return head, list(zip(head.assets, states, strict=True))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("kept drift cannot be tidied up", reason=exc.strerror)
