"""A sensor that was exchanged, told by the level of its signal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.findings import found, noise, one, rare, texts
from tests.kit.recordings import recorded
from trainer.ingest.recording import Recording


def exchanged(later: NDArray[np.float64], *, other: float = 0.0) -> Recording:
    """Three files of a temperature near 20 and another signal; the last file has `later`."""
    values = noise(900)
    values[:, 0] = 20 + 2 * values[:, 0]
    values[600:, 0] = later
    values[600:, 1] += other
    recording = recorded(values, labels=texts(rare(900)))
    files = ("may.csv", "june.csv", "july.csv")
    return replace(recording, files=files, file=np.arange(900) // 300)


def warm(seed: int = 1) -> NDArray[np.float64]:
    return 20 + 2 * noise(300, seed)[:, 0]


@pytest.mark.parametrize(
    ("later", "said"),
    [
        pytest.param(32 + 1.8 * warm(), "degC to degF", id="fahrenheit"),
        pytest.param(273.15 + warm(), "degC to K", id="kelvin"),
        pytest.param(1000 * warm(), "times 1000", id="thousands"),
        pytest.param(warm() / 6.89476, "from psi to kPa, the other way round", id="psi"),
        pytest.param(60 + warm(), "around 79.8", id="another zero"),
    ],
)
def test_sensor_that_was_exchanged_is_told_with_files_levels_and_unit(
    tmp_path: Path, later: NDArray[np.float64], said: str
) -> None:
    finding = one("level-jump", tmp_path, exchanged(later))
    assert (finding.severity, finding.signals) == ("warning", ("pressure",))
    assert "in june.csv and around" in finding.evidence
    assert "in july.csv" in finding.evidence
    assert said in finding.evidence


def test_jump_within_one_file_is_told_of_the_parts(tmp_path: Path) -> None:
    recording = replace(exchanged(60 + warm()), file=np.zeros(900, dtype=np.int64))
    split_ = {"method": "time", "train_rows": 600}
    finding = one("level-jump", tmp_path, recording, split=split_)
    assert "in the training part and around 79.8" in finding.evidence
    assert "in the test part" in finding.evidence


def test_level_that_wanders_or_follows_the_class_or_the_load_is_no_jump(tmp_path: Path) -> None:
    assert not found("level-jump", tmp_path, exchanged(20 + warm()))
    assert not found("level-jump", tmp_path, exchanged(60 + warm(), other=100.0))
    values, worn = noise(900), (np.arange(900) >= 600).astype(int)
    values[:, 0] += 90 * worn
    recording = recorded(values, labels=texts(worn))
    recording = replace(recording, files=("new.csv", "worn.csv"), file=worn)
    assert not found("level-jump", tmp_path, recording)


def test_meter_that_counted_on_between_two_files_has_not_jumped(tmp_path: Path) -> None:
    recording = exchanged(warm())
    values = recording.values.copy()
    values[:, 0] = np.arange(900) + 50_000 * (np.arange(900) >= 600)
    assert not found("level-jump", tmp_path, replace(recording, values=values))


def test_file_that_is_wholly_in_other_units_is_told_and_another_load_is_not(tmp_path: Path) -> None:
    recording = exchanged(1000 * warm())
    level = 20 + 2 * noise(900, seed=2)[:, 1]
    both = np.column_stack([recording.values[:, 0], level * np.repeat([1, 1, 14.5038], 300)])
    finding = one("level-jump", tmp_path, replace(recording, values=both))
    assert finding.signals == ("pressure", "flow")
    assert "kPa to Pa" in finding.evidence
    assert "bar to psi" in finding.evidence
    load = np.column_stack([recording.values[:, 0], level * np.repeat([1, 1, 2], 300)])
    assert not found("level-jump", tmp_path, replace(recording, values=load))
