"""Drift counts on disk: copied a few assets at a time, valid as a whole, of one bundle."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from agent.config.settings import Limits
from agent.journal.drift_state import KeptDrift
from agent.streams.pipeline import Pipeline
from models.bundle.package import Bundle
from models.bundle.reference import Reference
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.quality import Quality
from models.windowing.windows import Batch
from serving.model import Model
from serving.session import Session
from serving.worker import WakeUp, Worker
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.undisturbed import CHANNELS, WIDTH, reference, repeating
from tests.kit.waiting import eventually

BUNDLE = linear_bundle("rul", 1, [1.0] * WIDTH, channels=CHANNELS)
ASSETS = 250  # more than are copied at once
INTERVAL_S = 60.0


@pytest.fixture(scope="module")
def known() -> Reference:
    return reference(repeating(0.0, 20_000, 0), 200)


@pytest.fixture
def wake_up() -> Iterator[WakeUp]:
    made = WakeUp()
    yield made
    made.close()


class Run:
    """One run of an agent with a clock of its own; it ends with the `with` block."""

    def __init__(
        self, folder: Path, known: Reference, wake_up: WakeUp, bundle: Bundle = BUNDLE
    ) -> None:
        source = {"topic": "t/{asset}", "timestamp": "ts"}
        settings = PipelineSettings.model_validate({"stream": "rul", "inputs": [source]})
        self.pipeline = Pipeline(settings, Limits())
        self.pipeline.activate(Model(Session(bundle), bundle.sha256, known))
        self.worker = Worker("test", wake_up)
        self.now_s = 0.0
        self.kept = KeptDrift(folder, INTERVAL_S, [self.pipeline], self.worker, lambda: self.now_s)
        self.kept.restore()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop(5)

    def count(self, assets: int, each: int, offset: float = 0.0) -> None:
        """Have samples counted."""
        assert self.pipeline.watch is not None
        rows = repeating(0.0, assets * each, 1)[:, np.newaxis] + np.float32(offset)
        names = [f"p{number % assets}" for number in range(assets * each)]
        times, qualities = [0] * len(names), [Quality.GOOD] * len(names)
        counted = self.pipeline.watch.counted
        self.pipeline.watch.note(Batch(names, times, qualities, rows), [0.0] * len(names), 10**15)
        assert self.pipeline.watch.counted == counted + len(names), "the rate left some out"

    def states(self) -> list[tuple[str, bytes]]:
        assert self.pipeline.watch is not None
        return list(self.pipeline.watch.states())

    def ticks(self, count: int) -> None:
        """Ticks one second apart; what they hand over is written."""
        for _ in range(count):
            self.now_s += 1
            self.kept.tick()
        self.flush()

    def flush(self) -> None:
        done: list[bool] = []
        self.worker.submit(lambda: lambda: done.append(True))

        def is_done() -> bool:
            self.worker.run_posted()
            return bool(done)

        eventually(is_done)


def test_many_assets_are_copied_a_few_a_tick_while_others_are_counted(
    tmp_path: Path, known: Reference, wake_up: WakeUp
) -> None:
    with Run(tmp_path, known, wake_up) as run:
        run.count(ASSETS, 3)
        before = run.states()
        run.ticks(int(INTERVAL_S) + 2)
        assert not (tmp_path / "rul").exists(), "copied at once"
        run.count(100, 1)  # of those that were copied first
        run.ticks(2)
    with Run(tmp_path, known, wake_up) as again:
        assert again.states() == before
        assert len(before) == ASSETS


def test_nothing_is_written_as_long_as_nothing_is_counted(
    tmp_path: Path, known: Reference, wake_up: WakeUp
) -> None:
    path = tmp_path / "rul"
    with Run(tmp_path, known, wake_up) as run:
        run.ticks(100)
        assert not path.exists()
        run.count(1, 3)
        run.ticks(100)
        first = path.stat()
        run.ticks(100)
        assert path.stat().st_ino == first.st_ino
        run.count(1, 1)
        run.ticks(100)
        assert path.stat().st_ino != first.st_ino
        run.kept.close()
        states = run.states()
    with Run(tmp_path, known, wake_up) as again:
        again.kept.close()
        assert again.states() == states


def test_disk_that_fails_is_logged_once_and_tried_again(
    tmp_path: Path, known: Reference, wake_up: WakeUp, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "drift"
    with Run(folder, known, wake_up) as run:
        folder.write_text("a file where a folder is wanted")
        run.count(1, 3)
        run.ticks(500)
        (message,) = caplog.messages
        assert "disk" in message
        folder.unlink()
        run.ticks(100)
        states = run.states()
    with Run(folder, known, wake_up) as again:
        assert again.states() == states


def test_counts_of_another_bundle_are_left_alone(
    tmp_path: Path, known: Reference, wake_up: WakeUp, caplog: pytest.LogCaptureFixture
) -> None:
    with Run(tmp_path, known, wake_up) as run:
        run.count(1, 300, offset=9)
        assert run.pipeline.drift["drift"]["alarm"] is True
        run.kept.close()
    newer = linear_bundle("rul", 2, [1.0] * WIDTH, channels=CHANNELS)
    with caplog.at_level(logging.INFO), Run(tmp_path, known, wake_up, newer) as again:
        assert again.states() == []
        assert again.pipeline.drift["drift"]["alarm"] is False
    assert "another bundle" in caplog.messages[-1]


def test_file_that_is_damaged_or_cut_off_anywhere_is_refused(
    tmp_path: Path, known: Reference, wake_up: WakeUp, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rul"
    with Run(tmp_path, known, wake_up) as run:
        run.count(2, 20)
        run.kept.close()
    whole = path.read_bytes()
    dice = np.random.default_rng(0)
    places = dice.integers(0, len(whole), 40).tolist()
    flipped = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in places]
    cut = [whole[:at] for at in (0, 1, *places, len(whole) - 1)]
    for content in (*flipped, *cut, b"{}\n", whole[:2]):
        path.write_bytes(content)
        caplog.clear()
        with Run(tmp_path, known, wake_up) as again:
            assert again.states() == []
            again.count(2, 3)
        (message,) = caplog.messages
        assert "refused" in message


def test_files_of_streams_that_are_gone_and_half_written_ones_are_removed(
    tmp_path: Path, known: Reference, wake_up: WakeUp
) -> None:
    with Run(tmp_path, known, wake_up) as run:
        run.count(1, 3)
        run.kept.close()
    (tmp_path / ".rul.0123456789abcdef").write_bytes(b"half")
    (tmp_path / "gone").write_bytes(b"of a stream that is not configured")
    with Run(tmp_path, known, wake_up):
        assert [path.name for path in tmp_path.iterdir()] == ["rul"]
