"""Golden vectors, golden.npz: windows with the outputs that the trained estimator gave for them.

The trainer writes the outputs of scikit-learn. A gateway runs the ONNX graph on the same windows,
and compares, before the model may serve. So the parity of graph and estimator is proven on the
machine, with the processor and the onnxruntime, that serves.
"""

import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.archive import read_archive, write_archive
from models.bundle.manifest import GoldenSpec, Manifest
from models.errors import BundleError, GoldenMismatchError

MAX_MEMBER_BYTES: Final = 64 << 20
MIN_COUNT: Final = 32
_WINDOWS: Final = "windows"
_AXES: Final = {"value": 1, "score": 1, "probabilities": 2}
_NOT_AN_ARRAY: Final = (
    MemoryError,  # of a header that claims a huge shape
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,  # also of an array of objects, which would be a pickle
    tokenize.TokenError,
)
"""All that NumPy raises for bytes that are not an .npy file, whose header is a Python literal."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden windows and their outputs.

    Attributes:
        windows: float32 `[count, length, channels]` in engineering units, NaN = missing.
        outputs: outputs by name: `value` and `score` `[count]`, `probabilities` `[count, classes]`.
    """

    windows: NDArray[np.float32]
    outputs: Mapping[str, NDArray[Any]]


def write_golden(golden: Golden) -> bytes:
    """The bytes of golden.npz; the same arrays give the same bytes."""
    arrays = {_WINDOWS: golden.windows, **golden.outputs}
    return write_archive({f"{name}.npy": _write_array(array) for name, array in arrays.items()})


def read_golden(content: bytes, manifest: Manifest) -> Golden:
    """Read golden vectors, and check their names, shapes and types against the manifest.

    Arrays of Python objects are refused, because reading them would run pickled code.

    Args:
        content: bytes of golden.npz.
        manifest: manifest of the same bundle.

    Raises:
        BundleError: the content is not an .npz archive, is too large, or has other arrays than the
            manifest says.
    """
    names = [_WINDOWS, *(output.name for output in manifest.outputs)]
    caps = {f"{name}.npy": MAX_MEMBER_BYTES for name in names}
    members = read_archive(io.BytesIO(content), caps, name="golden.npz").members
    arrays = {name: _read_array(name, members[f"{name}.npy"]) for name in names}
    _check_arrays(arrays, manifest)
    windows = arrays.pop(_WINDOWS)
    return Golden(windows=windows, outputs=arrays)


def compare(expected: Mapping[str, Any], actual: Mapping[str, Any], spec: GoldenSpec) -> float:
    """Compare outputs: classes must be equal, floats x within `atol + rtol * |x|`.

    NaN and infinity are never right, not even where both have them: no output may be either.

    Args:
        expected: outputs by name, as the golden vectors have them.
        actual: outputs by name, as the model gave them.
        spec: tolerance.

    Returns:
        The largest absolute error in a float output.

    Raises:
        GoldenMismatchError: an output is missing, has another shape, or differs by more than the
            tolerance. The message names the output and the first such row.
    """
    worst = 0.0
    for name, wanted in expected.items():
        if name not in actual:
            raise GoldenMismatchError(
                f"the model has the outputs {sorted(actual)}, the golden vectors expect '{name}'"
            )
        worst = max(worst, _compare_one(name, np.asarray(wanted), np.asarray(actual[name]), spec))
    return worst


def _compare_one(name: str, wanted: NDArray[Any], given: NDArray[Any], spec: GoldenSpec) -> float:
    if wanted.shape != given.shape:
        raise GoldenMismatchError(
            f"'{name}' has shape {given.shape}, the golden vectors have {wanted.shape}"
        )
    if not wanted.size:
        return 0.0
    exact = wanted.dtype.kind in "iub"  # integers and booleans
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which is refused below
        error = np.abs(given.astype(np.float64) - wanted.astype(np.float64))
        within = given == wanted if exact else error <= spec.atol + spec.rtol * np.abs(wanted)
    within &= np.isfinite(error)
    if not within.all():
        row = int(np.unravel_index(np.argmin(within), within.shape)[0])
        bound = "equal" if exact else f"within {spec.atol} + {spec.rtol} * |x|"
        raise GoldenMismatchError(
            f"'{name}' differs in {int((~within).sum())} of {within.size} golden values, first in "
            f"row {row}: {given[row]} instead of {wanted[row]}; they must be {bound}"
        )
    return 0.0 if exact else float(error.max())


def _check_arrays(arrays: Mapping[str, NDArray[Any]], manifest: Manifest) -> None:
    count = manifest.golden.count
    shape = (count, manifest.window.length, len(manifest.channels))
    windows = arrays[_WINDOWS]
    if windows.shape != shape or windows.dtype != np.float32:
        raise BundleError(
            f"golden windows are {windows.dtype}{windows.shape}, the manifest says float32{shape}"
        )
    for output in manifest.outputs:
        array = arrays[output.name]
        if array.shape[:1] != (count,) or array.ndim != _AXES[output.name]:
            axes = "count, classes" if _AXES[output.name] > 1 else "count"
            raise BundleError(
                f"golden '{output.name}' has shape {array.shape}, the manifest says [{axes}] with "
                f"count {count}"
            )
        if array.dtype != np.dtype(output.dtype):
            raise BundleError(
                f"golden '{output.name}' has dtype {array.dtype}, the manifest says {output.dtype}"
            )


def _write_array(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()


def _read_array(name: str, content: bytes) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except _NOT_AN_ARRAY as exc:
        raise BundleError(f"golden.npz: {name}.npy cannot be read: {exc}") from exc
    return array
