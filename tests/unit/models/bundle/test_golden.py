import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.bundle.archive import write_archive
from models.bundle.golden import Golden, compare, read_golden, write_golden
from models.bundle.manifest import GoldenSpec, Output
from models.errors import BundleError, GoldenMismatchError
from tests.kit.bundles.factories import make_golden, make_manifest
from tests.kit.wording import naming

CLASSIFIER = make_manifest(
    3,
    length=2,
    task="classification",
    outputs=(
        Output(name="value", dtype="int64", meaning="state", classes=("good", "worn")),
        Output(name="score", dtype="float32", meaning="how sure"),
        Output(name="probabilities", dtype="float32", meaning="each"),
    ),
)
GOLDEN = make_golden(CLASSIFIER)
WINDOWS = write_golden(GOLDEN)
SPEC = GoldenSpec(count=4, atol=0.1, rtol=0.01)


def with_output(name: str, array: NDArray[Any]) -> bytes:
    return write_golden(Golden(GOLDEN.windows, {**GOLDEN.outputs, name: array}))


def with_member(name: str, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(WINDOWS)) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    return write_archive(members | {name: content})


def npy(shape: str, content: bytes = b"", descr: str = "<f4") -> bytes:
    """An .npy file whose header claims `shape`."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def test_golden_vectors_are_read_as_they_were_written() -> None:
    golden = make_golden(CLASSIFIER)
    golden.windows[0, 0] = np.nan
    read = read_golden(write_golden(golden), CLASSIFIER)
    np.testing.assert_array_equal(read.windows, golden.windows)
    assert read.outputs.keys() == golden.outputs.keys()
    for name, array in golden.outputs.items():
        np.testing.assert_array_equal(read.outputs[name], array)
        assert read.outputs[name].dtype == array.dtype


def test_the_same_arrays_give_the_same_bytes_in_any_memory_order() -> None:
    turned = Golden(np.asfortranarray(GOLDEN.windows), GOLDEN.outputs)
    assert write_golden(turned) == WINDOWS


def test_golden_vectors_are_an_npz_archive_that_numpy_reads() -> None:
    with np.load(io.BytesIO(WINDOWS), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["probabilities", "score", "value", "windows"]
        np.testing.assert_array_equal(arrays["windows"], GOLDEN.windows)


def test_an_archive_that_numpy_wrote_is_read() -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, windows=GOLDEN.windows, **GOLDEN.outputs)
    assert read_golden(content.getvalue(), CLASSIFIER).outputs.keys() == GOLDEN.outputs.keys()


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    trace = tmp_path / "loaded"
    content = io.BytesIO()
    objects = np.array([Bomb(trace)] * 4, dtype=object)
    arrays = {**GOLDEN.outputs, "windows": GOLDEN.windows, "value": objects}
    np.savez(content, allow_pickle=True, **arrays)
    for attack in (
        content.getvalue(),
        with_member("value.npy", pickle.dumps(Bomb(trace))),
        with_member("value.npy", npy("(4,)", pickle.dumps(Bomb(trace)), descr="|O")),
        pickle.dumps(Bomb(trace)),
    ):
        with pytest.raises(BundleError):
            read_golden(attack, CLASSIFIER)
    assert not trace.exists()


def test_compressed_golden_vectors_are_refused() -> None:
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, windows=GOLDEN.windows, **GOLDEN.outputs)
    with pytest.raises(BundleError, match="is compressed"):
        read_golden(content.getvalue(), CLASSIFIER)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", npy("(4,)", bytes(16)), WINDOWS[:-1]],
    ids=["empty", "text", "array", "array cut off"],
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"golden\.npz"):
        read_golden(content, CLASSIFIER)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain bytes",
        npy("(4,)"),
        npy("(4,)", bytes(15)),
        npy(f"({2**40},)"),
        npy(f"({2**62},)"),
        npy(f"({2**70},)"),
        npy("(-1,)"),
        npy("4"),
        npy("(4,)", descr="nonsense"),
        npy("{[]: 1}"),
        npy("(" * 300),
        npy("(" * 9000),
        npy("'''"),
        npy("(4,)")[:20],
    ],
    ids=[
        "empty",
        "text",
        "no values",
        "one byte short",
        "far too long",
        "longer than memory",
        "longer than an integer",
        "negative length",
        "shape is a number",
        "no such type",
        "shape is no literal",
        "300 brackets",
        "9000 brackets",
        "open quotes",
        "header cut off",
    ],
)
def test_a_member_that_is_no_array_is_refused_by_its_name(content: bytes) -> None:
    with pytest.raises(BundleError, match="score"):
        read_golden(with_member("score.npy", content), CLASSIFIER)


@pytest.mark.filterwarnings("ignore")  # NumPy's, of a damaged header
@given(st.integers(0, 200), st.binary(min_size=1, max_size=6))
def test_a_damaged_array_is_refused_or_has_the_promised_shape(position: int, piece: bytes) -> None:
    array = bytearray(npy("(4,)", bytes(16)))
    array[position : position + len(piece)] = piece
    try:
        golden = read_golden(with_member("score.npy", bytes(array)), CLASSIFIER)
    except BundleError:
        return
    assert golden.outputs["score"].shape == (4,)


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("value", np.zeros(3, np.int64), r"\(3,\).*\[count\].*4"),
        ("value", np.zeros((4, 1), np.int64), r"shape \(4, 1\)"),
        ("value", np.zeros(4, np.int32), "int32.*int64"),
        ("value", np.zeros(4, np.float32), "float32.*int64"),
        ("score", np.zeros(4), "float64.*float32"),
        ("score", np.zeros(4, ">f4"), ">f4.*float32"),
        ("score", np.zeros((), np.float32), r"shape \(1,\)"),
        ("probabilities", np.zeros(4, np.float32), r"\[count, classes\]"),
        ("surprise", np.zeros(4, np.float32), "members"),
    ],
)
def test_an_output_that_the_manifest_does_not_promise_is_refused(
    name: str, array: NDArray[Any], reason: str
) -> None:
    with pytest.raises(BundleError, match=reason):
        read_golden(with_output(name, array), CLASSIFIER)


def test_an_output_that_is_not_there_is_refused() -> None:
    outputs = {"value": GOLDEN.outputs["value"]}
    with pytest.raises(BundleError, match=naming("members")):
        read_golden(write_golden(Golden(GOLDEN.windows, outputs)), CLASSIFIER)


@pytest.mark.parametrize(
    "windows",
    [
        np.zeros((3, 2, 3), np.float32),
        np.zeros((4, 1, 3), np.float32),
        np.zeros((4, 2, 4), np.float32),
        np.zeros((4, 6), np.float32),
        np.zeros((4, 2, 3), np.float64),
    ],
    ids=lambda windows: f"{windows.dtype}{windows.shape}",
)
def test_windows_of_another_shape_or_type_are_refused(windows: NDArray[Any]) -> None:
    with pytest.raises(BundleError, match=r"float32\(4, 2, 3\)"):
        read_golden(write_golden(Golden(windows, GOLDEN.outputs)), CLASSIFIER)


def test_the_worst_error_of_the_floats_is_returned() -> None:
    wanted = {"value": np.array([1, 0]), "score": np.array([0.5, 100.0], np.float32)}
    given = {"value": np.array([1, 0]), "score": np.array([0.55, 101.0], np.float32)}
    assert compare(wanted, given, SPEC) == pytest.approx(1.0)
    assert compare(wanted, wanted, GoldenSpec(count=2, atol=0, rtol=0)) == 0.0


def test_outputs_that_are_not_promised_are_not_compared() -> None:
    assert compare({}, {"score": np.zeros(1)}, SPEC) == 0.0
    assert compare({"score": np.zeros(0)}, {"score": np.zeros(0)}, SPEC) == 0.0


def test_the_tolerance_is_relative_to_what_was_promised() -> None:
    assert compare({"value": np.array([1000.0])}, {"value": np.array([1010.05])}, SPEC)
    with pytest.raises(GoldenMismatchError):
        compare({"value": np.array([1000.0])}, {"value": np.array([1010.2])}, SPEC)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        (1.0, np.nan),
        (np.nan, np.nan),
        (np.nan, 1.0),
        (np.inf, np.inf),
        (np.inf, 1.0),
        (1.0, -np.inf),
        (1.0, 1.2),
    ],
)
def test_a_value_beyond_the_tolerance_is_told_by_output_and_row(
    wanted: float, given: float
) -> None:
    with pytest.raises(GoldenMismatchError, match=naming("'score'", "1 of 3", "row 1")):
        compare(
            {"score": np.array([0, wanted, 0], np.float32)},
            {"score": np.array([0, given, 0], np.float32)},
            SPEC,
        )


def test_a_row_of_probabilities_is_told_by_its_row() -> None:
    given = np.zeros((4, 2), np.float32)
    given[2, 1] = 1
    with pytest.raises(GoldenMismatchError, match=naming("1 of 8", "row 2")):
        compare({"probabilities": np.zeros((4, 2), np.float32)}, {"probabilities": given}, SPEC)


@pytest.mark.parametrize("wanted", [0, 1000, 2**53, -(2**62)])
def test_classes_must_be_equal_whatever_the_tolerance(wanted: int) -> None:
    exact = {"value": np.array([wanted])}
    assert compare(exact, exact, SPEC) == 0.0
    with pytest.raises(GoldenMismatchError, match="equal"):
        compare(exact, {"value": np.array([wanted + 1])}, GoldenSpec(count=1, atol=9, rtol=9))


def test_an_output_that_the_model_does_not_give_is_told() -> None:
    with pytest.raises(GoldenMismatchError, match=naming("value", "score")):
        compare({"score": np.zeros(1)}, {"value": np.zeros(1)}, SPEC)


def test_an_output_of_another_shape_is_told() -> None:
    with pytest.raises(GoldenMismatchError, match=r"\(2,\).*\(1,\)"):
        compare({"score": np.zeros(1)}, {"score": np.zeros(2)}, SPEC)
