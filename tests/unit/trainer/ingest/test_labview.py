"""Measurement files of LabVIEW with several segments have one time axis."""

from pathlib import Path

import numpy as np
import pytest

from tests.kit.recordings import recipe
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

TOP = "LabVIEW Measurement\t\nWriter_Version\t2\nSeparator\tTab\n***End_of_Header***\t\n\t\n"
TIME = {"column": "X_Value", "unit": "s", "origin": "2024-05-01T10:00:00Z"}


def segment(*values: float, time: str = "10:00:00.5", columns: str = "pressure\tflow") -> str:
    header = f"Channels\t2\nSamples\t2\t2\nDate\t2024/05/01\t2024/05/01\nTime\t{time}\t{time}\n"
    rows = "".join(f"{60 * n}.0\t{value}\t7\n" for n, value in enumerate(values))
    return f"{header}***End_of_Header***\t\nX_Value\t{columns}\tComment\n{rows}"


def read(folder: Path, *segments: str) -> Recording:
    (folder / "a.lvm").write_text(TOP + "\n".join(segments))
    description = recipe(folder, data={"files": ["*.lvm"], "time": TIME})
    return load(description.data, description.signals)


def test_segments_follow_each_other_as_their_headers_say(tmp_path: Path) -> None:
    recording = read(tmp_path, segment(1, 2), segment(3, 4, time="11:00:00.75"), segment(5))
    # The third segment says the begin of the first: its row is older than the second's.
    assert recording.values[:, 0].tolist() == [1, 5, 2, 3, 4]
    seconds = (recording.times_ns - recording.times_ns[0]) / 1e9
    assert np.allclose(seconds, [0, 0, 60, 3600.25, 3660.25])
    assert any(
        names(note, "a second header ends in line 20", "3600.25 s") for note in recording.notes
    )


def test_one_segment_is_read_as_it_is(tmp_path: Path) -> None:
    recording = read(tmp_path, segment(1, 2))
    assert recording.values[:, 0].tolist() == [1, 2]
    assert not any("second header" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (segment(1, columns="flow\tpressure"), "other columns begins, X_Value, flow, pressure"),
        (segment(1, time=""), "without a Date and a Time"),
    ],
    ids=["other columns", "no time"],
)
def test_segment_that_does_not_fit_the_first_is_refused(
    tmp_path: Path, second: str, said: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, segment(1, 2), second)
    assert names(str(caught.value), "a.lvm line ", said, "a file of its own")
