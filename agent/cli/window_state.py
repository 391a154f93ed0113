"""The window state of the running agent, read from its journal and described in words.

The journal is only read (ADR 10). The agent goes on writing meanwhile, so the last frame may be
incomplete and files may disappear. What is described is therefore the state that was on disk a
moment ago: the agent writes after ten inputs, and once a second whatever waits. Whether an agent is
running cannot be known here, only when the journal was last written.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf, isnan
from pathlib import Path
from time import time_ns
from typing import Any, Final, NamedTuple

import numpy as np

from agent.config.settings import Settings
from agent.delivery.at_least_once import Delivery
from agent.journal.files import numbered
from agent.journal.records import Header, records
from agent.journal.replay import Recovery
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import Channel, Manifest, WindowSpec
from models.windowing.asset_state import NEVER, NS_PER_MS, AssetState
from models.windowing.series import Series

_TRIES: Final = 3  # the agent begins a file after thousands of inputs: once is already rare
_EMPTY: Final = "windows are empty: "


class Recalled(NamedTuple):
    """A pipeline with the windows of the running agent, where these could be read.

    Attributes:
        pipeline: the pipeline, with its model active.
        source: where its windows come from, or why they are empty, in words for the operator.
        is_agents: whether its windows are those of the agent; if not, they are empty.
    """

    pipeline: Pipeline
    source: str
    is_agents: bool = False


def recall(settings: Settings, begin: Callable[[], Pipeline]) -> Recalled:
    """A pipeline with the windows of the running agent.

    Args:
        settings: the configuration of the gateway.
        begin: makes the pipeline with its model and empty windows; called again for every try.
    """
    pipeline = begin()
    if not pipeline.is_stateful:
        return Recalled(pipeline, "no windows: each message is answered on its own")
    if not settings.journal.enabled:
        return Recalled(pipeline, f"{_EMPTY}journal.enabled is false")
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # the agent has replaced the file by a newer one
            return _recall(settings.gateway.state_dir, begin())
    return Recalled(pipeline, f"{_EMPTY}the journal changes faster than it can be read")


def _recall(folder: Path, pipeline: Pipeline) -> Recalled:
    """Restore windows from the journal in the way in which the agent does after a crash.

    Older files may disappear while they are read. As long as the newest is there, nothing is lost:
    it begins with the states of all assets.

    Raises:
        FileNotFoundError: the newest file has disappeared too.
    """
    try:
        found = _windows(folder)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, struct.error) as exc:
        return Recalled(pipeline, f"{_EMPTY}the journal cannot be read: {exc}")
    if found is None:
        return Recalled(pipeline, f"{_EMPTY}there is no journal in {folder}")
    if found.get(pipeline.stream) != pipeline.fingerprint:
        return Recalled(pipeline, f"{_EMPTY}the journal is about another model or other settings")
    limit = 1  # nothing is published here, so no room is needed for predictions
    recovery = Recovery(folder, [pipeline], Delivery(limit, limit))
    recovery.run(inf)
    pipeline.discard()  # only the agent answers what was not acknowledged
    pipeline.inference.clear()
    newest = dict(numbered(folder)).get(recovery.number)
    if newest is None:
        raise FileNotFoundError
    written_ns = newest.stat().st_mtime_ns
    source = f"windows of the agent: its journal was last written {_ago(written_ns)}"
    return Recalled(pipeline, source, is_agents=True)


def _windows(folder: Path) -> dict[str, str] | None:
    """The fingerprints in the header of the newest file, by stream; None if there is no file.

    A file whose header is not complete has only just been created: the one before it counts.
    """
    for _, path in reversed(numbered(folder)):
        header = next(records(path.read_bytes()), None)
        if isinstance(header, Header):
            return header.windows
    return None


def describe(pipeline: Pipeline, asset: str) -> Iterator[str]:
    """Lines about an asset: how full its window is, and which of its signals are fresh."""
    state, manifest = _state(pipeline, asset), _manifest(pipeline)
    if state is None:
        yield f"nothing has arrived from asset {asset}"
        return
    count, newest_ns = _progress(pipeline, state)
    filled, length = _filled(manifest.window, count), manifest.window.length
    yield f"{filled} of {length} samples of its window; newest reading {_ago(newest_ns)}"
    if pipeline.settings.is_of_blocks:
        yield from _describe_samples(manifest, Series.load(state[0]))
    else:
        yield from _describe_signals(manifest, AssetState.load(state))
    if awaited := pipeline.awaited(asset):
        yield f"awaited: {', '.join(awaited)}"


def samples(pipeline: Pipeline, asset: str) -> int:
    """How many samples of the asset's next window have arrived."""
    state = _state(pipeline, asset)
    count = 0 if state is None else _progress(pipeline, state)[0]
    return _filled(_manifest(pipeline).window, count)


def _describe_samples(manifest: Manifest, series: Series) -> Iterator[str]:
    """The values of the last sample."""
    last = np.frombuffer(bytes(series.samples), np.float32)[-len(manifest.channels) :]
    for channel, value in zip(manifest.channels, last.tolist(), strict=False):
        yield f"  {channel.name}: " + (
            "missing" if isnan(value) else _shown(value + channel.offset, channel)
        )


def _describe_signals(manifest: Manifest, track: AssetState) -> Iterator[str]:
    for index, channel in enumerate(manifest.channels):
        held_ns, unusable_ns = track.held_ns[index], track.unusable_ns[index]
        line = f"  {channel.name}: {_freshness(manifest, track, index)}, "
        if held_ns == NEVER:
            line += "no usable value so far"
        else:
            line += f"last {_shown(track.held[index], channel)} {_ago(held_ns)}"
        if index in track.known:
            line += f", retained {_shown(track.known[index].value, channel)} "
            line += _ago(track.known[index].time_ns)
        if unusable_ns > held_ns:
            line += f", reported without a usable value {_ago(unusable_ns)}"
        yield line
    if track.waiting:
        yield f"{len(track.waiting)} readings wait to be put in order"


def _freshness(manifest: Manifest, track: AssetState, index: int) -> str:
    """Whether a sample at the time of the asset's newest reading would take a signal as fresh.

    Decided as in `models.windowing`: by age where that is limited, else by the reports to the
    sample that has begun, and where none has, by the last sample.
    """
    bit, window, channel = 1 << index, manifest.window, manifest.channels[index]
    max_age_ms: float | None = channel.max_age_ms
    if max_age_ms is None and window.is_on_grid:
        max_age_ms = window.sample_period_ms
    if max_age_ms is not None:
        held_ns = track.held_ns[index]
        if (known := track.known.get(index)) is not None and known.time_ns <= track.newest_ns:
            held_ns = max(held_ns, known.time_ns)
        is_fresh = held_ns != NEVER and track.newest_ns - held_ns <= max_age_ms * NS_PER_MS
    elif track.reported:
        is_fresh = bool(track.usable & bit)
        if not track.reported & bit:
            return "awaited"
    else:
        last = np.frombuffer(bytes(track.samples), np.float32)[-len(manifest.channels) :]
        is_fresh = bool(len(last)) and not isnan(last[index])
    if not is_fresh:
        return "missing" if max_age_ms is None else f"missing (valid for {max_age_ms:g} ms)"
    return "fresh, UNCERTAIN" if track.doubtful & bit else "fresh"


def _manifest(pipeline: Pipeline) -> Manifest:
    assert pipeline.model is not None  # noqa: S101  whoever asks has activated one
    return pipeline.model.manifest


def _state(pipeline: Pipeline, asset: str) -> Any:  # noqa: ANN401  what a State carries
    return next((one.remembered for one in pipeline.states() if one.asset == asset), None)


def _progress(pipeline: Pipeline, state: Any) -> tuple[int, int]:  # noqa: ANN401  as above
    """Number of samples since the last gap, and time of the newest reading or sample."""
    if pipeline.settings.is_of_blocks:
        series = Series.load(state[0])
        under_way_ns = state[1][0] if state[1] else NEVER
        return series.count, max(series.last_ns, under_way_ns)
    track = AssetState.load(state)
    return track.count, max(track.newest_ns, *(one[0] for one in track.waiting), NEVER)


def _filled(window: WindowSpec, count: int) -> int:
    """How many of the samples since the last gap belong to the next window."""
    if count < window.length:
        return count
    return max(0, window.length - window.hop + (count - window.length) % window.hop)


def _shown(value: float, channel: Channel) -> str:
    return f"{value:g} {channel.unit}".rstrip()


def _ago(at_ns: int) -> str:
    """How long ago something was, by this machine's clock; a source's clock may be ahead of it."""
    if at_ns == NEVER:
        return "never"
    passed_s = (time_ns() - at_ns) / 1e9
    return f"{passed_s:,.1f} s ago" if passed_s >= 0 else f"{-passed_s:,.1f} s ahead of the clock"
