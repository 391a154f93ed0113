"""The bundle says how long its plant remembers, in words and as the block that a gate needs."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from models.bundle.correlation import Correlation, CorrelationTime, block_s
from models.bundle.reference import read_document, write_reference
from tests.kit.recordings import pump_folder, recipe
from tests.kit.undisturbed import CHANNELS, repeating, samples
from trainer.__main__ import main
from trainer.drift.correlation import correlation
from trainer.drift.reference import Samples, describe

pytestmark = pytest.mark.usefixtures("without_pictures")

COUNT = 20_000
SECOND_NS = 10**9
SIGNALS = [{"name": "quick"}, {"name": "slow"}, {"name": "worn"}]


@cache
def plant(seed: int = 0) -> Samples:
    """A score and a signal that forget in 19 steps, one in 199, and one that only rises."""
    quick = repeating(0.9, COUNT, seed)[:, 0]
    slow = repeating(0.99, COUNT, seed + 1)[:, 0]
    values = np.column_stack([quick, slow, np.linspace(0, 1, COUNT, dtype=np.float32)])
    return Samples(np.zeros(COUNT, dtype=np.int64), values, repeating(0.9, COUNT, seed + 2)[:, 0])


def measured(folder: Path, ended_ns: NDArray[np.int64] | None, **sections: object) -> Correlation:
    return correlation(plant(), recipe(folder, signals=SIGNALS, **sections), ended_ns)


def test_block_is_the_longest_time_that_is_known(tmp_path: Path) -> None:
    found = measured(tmp_path, np.arange(COUNT) * 60 * SECOND_NS)
    assert found.answer.seconds == pytest.approx(19 * 60, rel=0.3)
    assert found.signal == "slow"
    assert found.block_s == pytest.approx(199 * 60, rel=0.5)
    assert found.slow == ("worn",)
    assert "hours (slow); worn changes too slowly for the recording to tell" in found.said()


def test_signals_that_the_model_does_not_read_do_not_count(tmp_path: Path) -> None:
    times = np.arange(COUNT) * SECOND_NS
    found = measured(tmp_path, times, features={"signals": ["quick"]})
    assert (found.signal, found.slow) == ("quick", ())
    assert found.block_s == pytest.approx(19, rel=0.3)


def test_recording_without_times_counts_windows(tmp_path: Path) -> None:
    found = measured(tmp_path, None)
    assert (found.answer.seconds, found.block_s) == (None, None)
    assert found.answer.windows == pytest.approx(19, rel=0.3)
    assert found.said().startswith(f"answers stay correlated for {found.answer.windows:.3g} wind")


def test_time_that_is_only_a_bound_is_no_block() -> None:
    found = Correlation(answer=CorrelationTime(windows=40, seconds=2400, is_bound=True))
    assert found.block_s is None
    assert found.said() == (
        "answers stay correlated for at least 40 minutes (the recording is too short to tell)"
    )


def test_block_of_a_rollout_is_long_enough_for_both_models() -> None:
    quick, slow = (
        Correlation(answer=CorrelationTime(windows=seconds, seconds=seconds)) for seconds in (5, 60)
    )
    bound = Correlation(answer=CorrelationTime(windows=9, seconds=9, is_bound=True))
    assert (block_s(quick, slow), block_s(slow, quick)) == (60, 60)
    assert block_s(quick, bound) is None
    assert block_s(None, quick) is None


def test_pauses_and_assets_end_a_run(tmp_path: Path) -> None:
    """Twenty minutes of readings a day: the time is in readings, not in days."""
    at = np.arange(COUNT)
    times = (at % 1200 + at // 1200 * 86_400) * SECOND_NS
    assert measured(tmp_path, times).answer.seconds == pytest.approx(19, rel=0.3)
    whole = plant()
    levels = whole._replace(scores=np.random.default_rng(0).normal(0, 3, COUNT)[at // 100])
    short = (at % 100 + at // 100 * 86_400) * SECOND_NS
    by_day = correlation(levels, recipe(tmp_path, signals=SIGNALS), short)
    assert by_day.answer.is_bound, "a level that lasts for a day is not seen to end"
    order = np.random.default_rng(0).permutation(np.repeat([0, 1], COUNT))
    mixed = Samples(
        order,
        np.empty((2 * COUNT, 3), dtype=np.float32),
        np.empty(2 * COUNT),
    )
    for asset in (0, 1):
        mixed.values[order == asset] = whole.values
        mixed.scores[order == asset] = whole.scores
    found = correlation(mixed, recipe(tmp_path, signals=SIGNALS), None)
    assert found.answer.windows == pytest.approx(19, rel=0.3)


def test_reference_of_an_earlier_release_has_no_times() -> None:
    document = describe(samples(repeating(0.0, 1000, 0)), CHANNELS, None)
    content = write_reference(document)
    assert b"correlation" not in content
    read = read_document(content, CHANNELS)
    assert read is not None
    assert read.correlation is None


def test_reference_with_times_reads_as_it_was_written() -> None:
    times = Correlation(answer=CorrelationTime(windows=3.5, seconds=7), slow=("s1",), recorded=9)
    document = describe(samples(repeating(0.0, 1000, 0)), CHANNELS, None)
    document = document.model_copy(update={"correlation": times})
    assert read_document(write_reference(document), CHANNELS) == document


@pytest.mark.parametrize(
    "fields",
    [{"windows": 0.5}, {"windows": float("nan")}, {"windows": 2, "seconds": 0}, {}],
    ids=["less than a window", "no number", "no time", "empty"],
)
def test_time_that_cannot_be_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        CorrelationTime.model_validate(fields)


def test_trained_bundle_tells_its_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = pump_folder(tmp_path)
    assert main(["train", str(path), "--out", str(tmp_path)]) == 0
    bundle = tmp_path / "pump-health-1.zip"
    capsys.readouterr()
    assert main(["inspect", str(bundle), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["correlation"]
    assert told["answer"]["seconds"] == told["answer"]["windows"]  # a window a second
    assert main(["inspect", str(bundle)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "answers stay correlated for" in shown
