"""What the trainer makes of a meter's readings is what the agent makes of them."""

from pathlib import Path

import numpy as np

from models.bundle.manifest import Channel, WindowSpec
from server.predict.cut import Cutter
from server.predict.rows import Row
from tests.kit.bundles.factories import make_manifest
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.recordings import recipe, write_csv
from tests.unit.agent.streams.test_pipeline import predictions, row, serving
from trainer.dataset.windows import window_rows
from trainer.ingest.recorded_files import load

LEVEL = 1_716_903_000
METER = [LEVEL + 0.071 * second for second in range(20)]
SIGNALS = [
    {"name": "c0", "column": "pressure", "offset": LEVEL},
    {"name": "c1", "column": "flow"},
]


def trained(folder: Path) -> tuple[tuple[Channel, ...], list[list[list[float]]]]:
    """The channels of a recipe, and the windows that are trained on."""
    rows = [(f"2025-03-01T00:00:{n:02d}Z", f"{value:.3f}", n) for n, value in enumerate(METER)]
    write_csv(folder / "a.csv", ["time", "pressure", "flow"], rows)
    wanted = recipe(folder, signals=SIGNALS, window={"length": 1})
    recording = load(wanted.data, wanted.signals)
    spec = WindowSpec(length=1)
    found = window_rows(recording, np.arange(len(recording)), spec, wanted.channels)
    return wanted.channels, found.values.tolist()


def test_agent_answers_what_was_trained(tmp_path: Path) -> None:
    channels, windows = trained(tmp_path)
    pipeline = serving(linear_bundle("pump-health", 1, [1.0, 0.0], channels=channels))
    sent = predictions(pipeline, *(row(n, round(value, 3), n) for n, value in enumerate(METER)))
    assert [one["value"] for one in sent] == [window[0][0] for window in windows]
    assert np.allclose([one["value"] for one in sent], np.arange(20) * 0.071, atol=1e-6)


def test_server_cuts_what_was_trained(tmp_path: Path) -> None:
    channels, windows = trained(tmp_path)
    cutter = Cutter(make_manifest(channels=channels, window=WindowSpec(length=1)), 1 << 20)
    rows = [Row("a", n, (round(value, 3), float(n)), b"{}") for n, value in enumerate(METER)]
    assert cutter.cut(rows).batch.values.tolist() == windows
