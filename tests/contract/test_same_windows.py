"""The agent and the trainer cut the same windows from the same readings."""

import base64
import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import Channel, Manifest, WindowSpec
from models.errors import ReadingError
from models.input.pipeline import Pipeline as PipelineSettings
from models.windowing.windows import Batch
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.graphs import linear_bundle
from trainer.dataset.windows import Windowed, window_rows
from trainer.ingest.recording import Recording

T0_MS = 1_700_000_000_000
ASSETS = ("p0", "p1", "p2")

channels = st.builds(
    Channel,
    name=st.just("c"),
    valid_range=st.sampled_from([None, (-10.0, 10.0)]),
    missing=st.sampled_from(["impute", "require"]),
    max_age_ms=st.sampled_from([None, 0, 1500]),
)
specs = st.builds(
    WindowSpec,
    length=st.integers(1, 4),
    hop=st.integers(1, 3),
    max_gap_ms=st.sampled_from([None, 3000]),
) | st.builds(
    WindowSpec,
    length=st.integers(1, 4),
    hop=st.integers(1, 3),
    sample_period_ms=st.sampled_from([500, 700, 2000]),
    max_gap_ms=st.just(3000),
    trigger=st.just("period"),
)
values = st.none() | st.floats(-20, 20) | st.sampled_from([0.1, -10.0, 10.0, 1e300])
rows = st.lists(
    st.tuples(
        st.integers(0, len(ASSETS) - 1),
        st.sampled_from([0, 1, 1000, 1000, 5000]),  # milliseconds since the row before
        values,
        values,
    ),
    max_size=60,
)
Rows = list[tuple[int, int, float | None, float | None]]


@settings(max_examples=150)
@given(rows=rows, spec=specs, pair=st.tuples(channels, channels))
def test_trainer_and_agent_cut_the_same_windows(
    rows: Rows, spec: WindowSpec, pair: tuple[Channel, Channel]
) -> None:
    named = tuple(
        channel.model_copy(update={"name": f"c{number}"}) for number, channel in enumerate(pair)
    )
    bundle = linear_bundle("mass", 1, [1.0, 1.0], channels=named, window=spec)
    trained = as_trained(rows, bundle.manifest)
    pipeline = Pipeline(pipeline_settings(), Limits())
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    dropped = stream(pipeline, rows)
    served = windows_of(pipeline)
    sound = [index for index, quality in enumerate(served.qualities) if quality.name != "BAD"]
    np.testing.assert_array_equal(served.values[sound], trained.values)
    assert len(served.assets) - len(sound) == trained.bad
    assert [served.assets[index] for index in sound] == [ASSETS[n] for n in trained.asset]
    served_ms = [served.times_ns[index] // 1_000_000 for index in sound]
    assert times_of(rows, trained) == [
        ended_by(rows, asset, time_ms) if spec.is_on_grid else time_ms
        for asset, time_ms in zip(trained.asset, served_ms, strict=True)
    ]
    assert pipeline.missing == trained.missing
    assert dropped == sum(trained.dropped.values())


def times_of(rows: Rows, trained: Windowed) -> list[int]:
    """The times of the rows whose label the windows have."""
    return list(np.cumsum([row[1] for row in rows], dtype=np.int64)[trained.rows] + T0_MS)


def ended_by(rows: Rows, asset: int, time_ms: int) -> int:
    """The time of the asset's last row up to a given time."""
    at_ms, last_ms = T0_MS, 0
    for row in rows:
        at_ms += row[1]
        if row[0] == asset and at_ms <= time_ms:
            last_ms = at_ms
    return last_ms


def as_trained(rows: Rows, manifest: Manifest) -> Windowed:
    """The windows that the trainer cuts from a recording."""
    return as_recorded(
        np.array([row[2:] for row in rows], dtype=np.float64).reshape(len(rows), 2),
        (np.cumsum([row[1] for row in rows], dtype=np.int64) + T0_MS) * 1_000_000,
        manifest,
        np.array([row[0] for row in rows], dtype=np.int64),
    )


def as_recorded(
    values: NDArray[np.float64],
    times_ns: NDArray[np.int64],
    manifest: Manifest,
    asset: NDArray[np.int64] | None = None,
) -> Windowed:
    count = len(values)
    recording = Recording(
        channels=("c0", "c1"),
        assets=ASSETS,
        asset=np.zeros(count, dtype=np.int64) if asset is None else asset,
        times_ns=times_ns,
        timed=True,
        values=values,
        files=("recorded.csv",),
        file=np.zeros(count, dtype=np.int64),
        line=np.arange(count),
    )
    return window_rows(recording, np.arange(count), manifest.window, manifest.channels)


def stream(pipeline: Pipeline, rows: Rows) -> int:
    """Send each row to the agent as a JSON message; returns how many were refused."""
    time_ms, refused = T0_MS, 0
    for asset, step, c0, c1 in rows:
        time_ms += step
        topic = f"in/{ASSETS[asset]}"
        payload = json.dumps({"ts": time_ms, "c0": c0, "c1": c1}).encode()
        route = pipeline.route(topic)
        assert route is not None
        message = Received(topic, payload, 1, retained=False, repeated=False, at_ns=2**62)
        try:
            pipeline.take(route, message, Input(1, (topic, payload)))
        except ReadingError:
            refused += 1
    return refused


def windows_of(pipeline: Pipeline) -> Batch:
    """The windows that the pipeline would give to its model."""
    windows = pipeline._windows  # noqa: SLF001 - the very windows are what is compared
    assert windows is not None
    return windows.take()


def pipeline_settings() -> PipelineSettings:
    source = {"topic": "in/{asset}", "timestamp": "ts"}
    return PipelineSettings.model_validate({"stream": "mass", "inputs": [source]})


@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 9), max_size=8),
    spec=specs,
    seed=st.integers(0, 1000),
    low=st.sampled_from([-1.0, -0.5]),
)
def test_trainer_on_rows_and_agent_on_blocks_cut_the_same_windows(
    sizes: list[int], spec: WindowSpec, seed: int, low: float
) -> None:
    period_ms = 1.5
    spec = spec.model_copy(update={"sample_period_ms": period_ms, "trigger": "all_fresh"})
    pair = tuple(Channel(name=f"c{n}", valid_range=(low, 1.0)) for n in range(2))
    bundle = linear_bundle("mass", 1, [1.0, 1.0], channels=pair, window=spec)
    values = np.random.default_rng(seed).uniform(-1, 1, (sum(sizes), 2)).astype(np.float32)
    times_ns = T0_MS * 1_000_000 + np.arange(len(values)) * 1_500_000
    trained = as_recorded(values.astype(np.float64), times_ns, bundle.manifest)
    source = {"topic": "in/{asset}", "dialect": "block", "encoding": "base64", "value": "v"}
    timed = source | {"timestamp": "us", "timestamp_unit": "us"}
    given = PipelineSettings.model_validate({"stream": "mass", "inputs": [timed]})
    pipeline = Pipeline(given, Limits())
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    route = pipeline.route("in/p0")
    assert route is not None
    for start, size in zip(np.cumsum([0, *sizes]).tolist(), sizes, strict=False):
        samples = base64.b64encode(values[start : start + size].tobytes()).decode()
        payload = json.dumps({"us": int(times_ns[start]) // 1000, "v": samples}).encode()
        message = Received("in/p0", payload, 1, retained=False, repeated=False, at_ns=2**62)
        pipeline.take(route, message, Input(1, ("in/p0", payload)))
    served = windows_of(pipeline)
    np.testing.assert_array_equal(served.values, trained.values)
    assert served.times_ns == times_ns[trained.rows].tolist()
    assert pipeline.missing == trained.missing
