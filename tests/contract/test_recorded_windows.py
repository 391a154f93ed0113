"""The windows that are cut from a recording are those that the gateway cuts from the messages."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import Channel, WindowSpec
from models.bundle.package import Bundle
from models.errors import ReadingError
from models.input.limits import IntakeLimits
from models.input.pipeline import Pipeline as PipelineSettings
from models.windowing.windows import Batch
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.graphs import linear_bundle
from trainer.broker import Message
from trainer.capture.intake import Intake
from trainer.dataset.windows import window_rows
from trainer.ingest.message_file import Files
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.data_section import Signal, Source
from trainer.recipe.time_section import TimeAxis

T0_MS = 1_700_000_000_000
NOW_NS = 2**62
NAMES = ("c0", "c1", "c2")
PIPELINE = PipelineSettings.model_validate(
    {
        "stream": "mass",
        "inputs": [
            {
                "topic": "rows/{asset}",
                "timestamp": "ts",
                "quality": "q",
                "signals": {"c0": "c0", "c1": "c1"},
            },
            {
                "topic": "single/{asset}/{signal}",
                "dialect": "scalar",
                "timestamp": "ts",
                "quality": "q",
                "signals": {"c2": "c2", "c1": "PT1"},
            },
        ],
    }
)

max_ages = st.sampled_from([None, 0, 1500])
specs = st.builds(
    WindowSpec,
    length=st.integers(1, 3),
    hop=st.integers(1, 2),
    max_gap_ms=st.sampled_from([None, 3000]),
    trigger=st.sampled_from(["all_fresh", "every_reading"]),
) | st.builds(
    WindowSpec,
    length=st.integers(1, 3),
    sample_period_ms=st.sampled_from([700, 2000]),
    max_gap_ms=st.just(3000),
    trigger=st.just("period"),
)
values = st.none() | st.sampled_from([0.1, 1.0, -7.25, 50.0])
said = st.sampled_from(["good", "good", "good", "uncertain", "bad"])
steps = st.sampled_from([0, 1, 600, 1000, 1000, 5000])
assets = st.sampled_from(["p0", "p1"])
rows = st.builds(
    lambda asset, step, q, c0, c1: (step, f"rows/{asset}", {"q": q, "c0": c0, "c1": c1}),
    assets,
    steps,
    said,
    values,
    values,
)
singles = st.builds(
    lambda asset, step, q, level, value: (
        step,
        f"single/{asset}/{level}",
        {"q": q, "value": value},
    ),
    assets,
    steps,
    said,
    st.sampled_from(["c2", "PT1", "unbound"]),
    values,
)
# What the broker has retained: a reading of each signal, from before the live ones or among them.
retained = st.dictionaries(
    st.tuples(assets, st.sampled_from(["c2", "PT1"])),
    st.tuples(
        st.sampled_from([-100_000, -3000, -1, 0, 700, 5000]),
        st.sampled_from([0.5, 3.0, 50.0]),
        said,
    ),
)
Retained = dict[tuple[str, str], tuple[int, float, str]]


class Sent(NamedTuple):
    """A message; `is_retained` if the broker sends it because somebody has subscribed."""

    topic: str
    payload: bytes
    is_retained: bool = False


@settings(max_examples=150, deadline=None)
@given(
    messages=st.lists(rows | singles, max_size=40),
    spec=specs,
    ages=st.tuples(*[max_ages] * 3),
    stored=retained,
)
def test_windows_of_a_recording_are_those_of_the_gateway(
    messages: list[tuple[int, str, dict[str, object]]],
    spec: WindowSpec,
    ages: tuple[int | None, ...],
    stored: Retained,
) -> None:
    channels = tuple(
        Channel(name=name, valid_range=(-10.0, 10.0), max_age_ms=age, missing=missing)
        for name, age, missing in zip(NAMES, ages, ("impute", "require", "impute"), strict=True)
    )
    sent = [*held(stored), *timed(messages)]
    bundle = linear_bundle("mass", 1, [1.0, 1.0, 1.0], channels=channels, window=spec)
    served, refused = as_served(bundle, sent)
    sound = [index for index, quality in enumerate(served.qualities) if quality.name != "BAD"]
    recording = as_recorded(sent)
    if recording is None:
        assert served.assets == []
        return
    trained = window_rows(recording, np.arange(len(recording)), spec, channels)
    np.testing.assert_array_equal(served.values[sound], trained.values)
    assert [served.assets[one] for one in sound] == [recording.assets[n] for n in trained.asset]
    assert len(served.assets) - len(sound) == trained.bad
    assert refused == sum(trained.dropped.values())
    ends = [served.times_ns[one] for one in sound]
    if not spec.is_on_grid:
        assert recording.times_ns[trained.rows].tolist() == ends


def held(stored: Retained) -> list[Sent]:
    return [
        Sent(
            f"single/{asset}/{level}",
            json.dumps({"ts": T0_MS + at_ms, "value": value, "q": quality}).encode(),
            is_retained=True,
        )
        for (asset, level), (at_ms, value, quality) in stored.items()
    ]


def timed(messages: list[tuple[int, str, dict[str, object]]]) -> list[Sent]:
    """Topics and payloads, in order of time."""
    at_ms, sent = T0_MS, []
    for step, topic, document in messages:
        at_ms += step
        sent.append(Sent(topic, json.dumps({"ts": at_ms, **document}).encode()))
    return sent


def as_served(bundle: Bundle, sent: list[Sent]) -> tuple[Batch, int]:
    """The windows that the agent cuts, and how many messages they refused."""
    pipeline = Pipeline(PIPELINE, Limits())
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    refused = 0
    for topic, payload, is_retained in sent:
        route = pipeline.route(topic)
        assert route is not None
        message = Received(topic, payload, 1, is_retained, repeated=False, at_ns=NOW_NS)
        if is_retained:
            with suppress(ReadingError):
                pipeline.holding.take(route, message)
            continue
        try:
            pipeline.take(route, message, Input(1, (topic, payload)))
        except ReadingError as exc:
            refused += exc.reason != "unbound_signal"
    windows = pipeline._windows  # noqa: SLF001 - the very windows are what is compared
    assert windows is not None
    return windows.take(), refused


def as_recorded(sent: list[Sent]) -> Recording | None:
    """The windows that the trainer cuts from a recorded file."""
    intake = Intake(PIPELINE, NAMES, IntakeLimits())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.parquet"
        files = Files(path, NAMES)
        lives = 0
        for topic, payload, is_retained in sent:
            for row in intake.rows(Message(topic, payload, is_retained, at_ns=NOW_NS)):
                files.add(row)
                lives += not row.retained
        files.close()
        if not lives:
            return None
        time = TimeAxis(column="time")
        source = Source(files=(str(path),), time=time, asset_column="asset")
        return load(source, [Signal(name=name) for name in NAMES])
