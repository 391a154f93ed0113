"""MATLAB files: vectors, single values, matrices and arrays of structures become rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from tests.kit.recordings import recipe
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

SIGNALS = [{"name": "drive", "column": "X*_DE_time"}, {"name": "speed", "column": "X*RPM"}]


def read(
    folder: Path, signals: list[dict[str, Any]], texts: Sequence[str] = (), **data: object
) -> Recording:
    sections: dict[str, object] = {"files": ["*.mat"], "time": {"unit": "s"}, **data}
    description = recipe(folder, data=sections, signals=signals)
    return load(description.data, description.signals, texts=texts)


def refusal(folder: Path, signals: list[dict[str, Any]], **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, signals, (), **data)
    return str(caught.value)


def write_bearing(folder: Path, number: int, count: int = 4) -> None:
    """Write a file as those of a bearing test rig are: vectors named after the file."""
    wave = np.arange(count, dtype=np.float64)[:, None] + number / 8
    variables = {f"X{number}_DE_time": wave, f"X{number}_FE_time": -wave, f"X{number}RPM": 1797}
    scipy.io.savemat(folder / f"{number}.mat", variables)


def write_battery(folder: Path) -> None:
    """Write a file as those of a battery rig are: an array of cycles, each with its own fields."""
    charge = {"Voltage": np.array([4.1, 4.2]), "Time": np.array([0.0, 2.5])}
    discharge = {"Voltage": np.array([3.9, 3.8, 3.7]), "Time": np.array([0.0, 2.5, 5.0])}
    impedance = {"Re": np.array([0.05])}
    kinds = ("charge", "impedance", "discharge")
    cycles = [
        {"type": kind, "ambient": 24, "data": data}
        for kind, data in zip(kinds, (charge, impedance, discharge), strict=True)
    ]
    scipy.io.savemat(folder / "B0005.mat", {"B0005": {"cycle": cycles}}, do_compression=True)


def test_vectors_named_after_their_file_and_a_single_value_become_columns(tmp_path: Path) -> None:
    write_bearing(tmp_path, 97)
    write_bearing(tmp_path, 105, count=2)
    recording = read(tmp_path, SIGNALS, asset_from="file")
    assert recording.assets == ("105", "97")
    assert recording.values[:, 1].tolist() == [1797.0] * 6
    assert recording.values[:4, 0].tolist() == [12.125, 13.125, 14.125, 15.125]
    assert recording.place(5) == "105.mat line 2"


def test_file_of_many_rows_is_read_in_order(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.arange(600_000.0)})
    recording = read(tmp_path, [{"name": "x"}])
    assert np.array_equal(recording.values[:, 0], np.arange(600_000.0))
    assert recording.line[-1] == 600_000


def test_columns_of_a_matrix_are_named_by_their_number(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"data": np.array([[1.0, 2, 3], [4, 5, 6]])})
    signals = [{"name": "a", "column": "data.1"}, {"name": "c", "column": "data.3"}]
    assert read(tmp_path, signals).values.tolist() == [[1.0, 3.0], [4.0, 6.0]]


def test_elements_of_an_array_of_structures_become_rows_and_assets(tmp_path: Path) -> None:
    write_battery(tmp_path)
    before = "B0005.cycle"
    signals = [
        {"name": "voltage", "column": f"{before}.data.Voltage"},
        {"name": "ambient", "column": f"{before}.ambient"},
    ]
    time = {"column": f"{before}.data.Time", "unit": "s"}
    keys: dict[str, Any] = {"time": time, "asset_column": f"{before}.#"}
    recording = read(tmp_path, signals, (f"{before}.type",), **keys)
    assert recording.assets == ("1", "3")
    assert recording.asset.tolist() == [0, 1, 0, 1, 1]
    assert recording.values[:, 0].tolist() == [4.1, 3.9, 4.2, 3.8, 3.7]
    assert recording.values[:, 1].tolist() == [24.0] * 5
    assert recording.texts[f"{before}.type"].tolist()[:2] == ["charge", "discharge"]
    assert (recording.times_ns / 1e9).tolist() == [0.0, 0.0, 2.5, 2.5, 5.0]
    assert names(recording.notes[0], "B0005.mat", "1 elements")


def test_texts_of_a_cell_array_are_labels(tmp_path: Path) -> None:
    states = np.array(["ok", "worn"], dtype=object)
    scipy.io.savemat(tmp_path / "a.mat", {"x": [1.5, 2.5], "state": states, "unit": "bar"})
    recording = read(tmp_path, [{"name": "x"}], ("state", "unit"))
    assert recording.texts["state"].tolist() == ["ok", "worn"]
    assert recording.texts["unit"].tolist() == ["bar", "bar"]


@pytest.mark.parametrize(
    ("variables", "parts"),
    [
        ({"flow": [1.0, 2.0]}, ("a.mat", "no column x", "flow")),
        ({"x": np.ones((2, 3))}, ("a.mat", "'x'", "2 x 3", "'x.1'")),
        ({"x": np.ones((2, 3, 4))}, ("a.mat", "'x'", "2 x 3 x 4")),
        ({"x": np.array([1 + 2j, 3])}, ("a.mat", "'x'", "no vector", "posixtime")),
        ({"x": np.array([])}, ("a.mat", "x")),
        ({"x": {"inner": [1.0, 2.0]}}, ("a.mat", "'x'", "no vector")),
    ],
    ids=["missing", "matrix", "three axes", "complex", "nothing in it", "structure"],
)
def test_variable_that_is_no_column_is_told(
    variables: dict[str, Any], parts: tuple[str, ...], tmp_path: Path
) -> None:
    scipy.io.savemat(tmp_path / "a.mat", variables)
    assert names(refusal(tmp_path, [{"name": "x"}]), *parts)


def test_vectors_of_different_lengths_are_told_with_their_lengths(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.ones(3), "y": np.ones(4)})
    assert names(refusal(tmp_path, [{"name": "x"}, {"name": "y"}]), "a.mat", "'x' 3", "'y' 4")


def test_pattern_that_fits_several_variables_is_told_with_them(tmp_path: Path) -> None:
    write_bearing(tmp_path, 97)
    told = refusal(tmp_path, [{"name": "x", "column": "X*_time"}])
    assert names(told, "97.mat", "X97_DE_time", "X97_FE_time")


def test_version_7_3_is_told_with_the_way_to_save_it(tmp_path: Path) -> None:
    start = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "a.mat").write_bytes(start + b"\x89HDF\r\n\x1a\n" + bytes(400))
    assert names(refusal(tmp_path, [{"name": "x"}]), "a.mat", "7.3", "'-v7'")


@pytest.mark.parametrize("cut", [0, 100, 200, 300], ids=["all", "header", "tag", "variable"])
def test_broken_file_is_told(cut: int, tmp_path: Path) -> None:
    write_bearing(tmp_path, 97, count=100)
    path = tmp_path / "97.mat"
    path.write_bytes(path.read_bytes()[:cut] or b"something else" * 20)
    assert "97.mat" in refusal(tmp_path, SIGNALS)


@pytest.mark.parametrize(
    ("at", "byte"),
    [(145, 0x08), (144, 0), (144, 200), (192, 99), (197, 0xFF), (152, 3), (154, 1)],
    ids=[
        "complex",
        "no class",
        "unknown class",
        "unknown type",
        "too long",
        "no dimensions",
        "short dimensions",
    ],
)
def test_damaged_byte_that_would_end_scipy_is_told(at: int, byte: int, tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"xyzuvwxyz": np.arange(50.0), "second": np.arange(50.0)})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    content[at] = byte
    (tmp_path / "a.mat").write_bytes(content)
    assert names(refusal(tmp_path, [{"name": "second"}]), "a.mat", "cannot be read")
