"""The one place that knows onnxruntime: a bundle's bytes become something that answers.

onnxruntime is configured for a small gateway (ADR 5): one thread, no spinning, no memory arena, and
no telemetry, which releases from 1.29 on send unless told not to before the import.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from models.bundle.golden import compare, read_golden
from models.bundle.manifest import Manifest
from models.bundle.package import Bundle
from models.errors import IncompatibleBundleError
from serving.errors import InferenceError

INPUT = "window"
_ORT_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)"}
_NO_SUCH_FOLDER = "/nonexistent"
_REFUSED = (
    ort_state.EPFail,
    ort_state.EngineError,
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NoModel,
    ort_state.NoSuchFile,
    ort_state.NotFound,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
    UnicodeDecodeError,  # of a name or a message about one
)


class Session:
    """A graph that is ready to run, checked against its manifest.

    Args:
        bundle: read and verified; the model is loaded from its bytes, never from a path.

    Raises:
        IncompatibleBundleError: onnxruntime refuses the graph, or inputs, outputs, stream or seq
            in it differ from the manifest.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.manifest = bundle.manifest
        self._names = [output.name for output in bundle.manifest.outputs]
        try:
            self._session = load_graph(bundle.model)
            _check_graph(self._session, bundle.manifest)
        except IncompatibleBundleError as exc:
            raise IncompatibleBundleError(f"{bundle.ref}: {exc}") from exc

    def run(self, windows: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
        """Infer a whole batch.

        Args:
            windows: float32 `[n, length, channels]`, raw engineering units, NaN = missing.

        Returns:
            Every output by name, first axis `n`.

        Raises:
            InferenceError: the graph failed, or answered with another number of rows.
        """
        try:
            arrays = run_graph(self._session, self._names, windows)
        except InferenceError as exc:
            raise InferenceError(f"{self.manifest.stream}: {exc}") from exc
        for array in arrays:
            if array.shape[:1] != windows.shape[:1]:
                raise InferenceError(
                    f"{self.manifest.stream}: the graph does not keep the batch axis"
                )
        return dict(zip(self._names, arrays, strict=True))

    def replay_golden(self, content: bytes) -> float:
        """Answer the golden windows as the estimator did where it was trained.

        Returns:
            The worst absolute error.

        Raises:
            BundleError: unreadable golden vectors.
            GoldenMismatchError: beyond the tolerance.
            IncompatibleBundleError: the graph fails on them.
        """
        golden = read_golden(content, self.manifest)
        try:
            outputs = self.run(golden.windows)
        except InferenceError as exc:
            message = f"the graph fails on its own golden windows: {exc}"
            raise IncompatibleBundleError(message) from exc
        return compare(golden.outputs, outputs, self.manifest.golden)


def load_graph(model: bytes) -> ort.InferenceSession:
    """Load a graph as a gateway does, before it is known to keep any manifest.

    The trainer checks graphs with it that are not in a bundle yet.

    Raises:
        IncompatibleBundleError: onnxruntime refuses the graph.
    """
    try:
        session = ort.InferenceSession(
            model,
            sess_options=_options(),
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print, and try the same once more
        )
        # onnxruntime decodes a name when it is read: one that is not UTF-8 is refused here.
        _ = [tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())]
        _ = session.get_modelmeta().custom_metadata_map
    except _REFUSED as exc:
        message = f"onnxruntime {ort.__version__} refuses the graph: {exc}"
        raise IncompatibleBundleError(message) from exc
    return session


def run_graph(
    session: ort.InferenceSession, names: Sequence[str], windows: NDArray[np.float32]
) -> list[NDArray[Any]]:
    """Run a loaded graph on windows `[n, length, channels]`: the outputs of these names, in order.

    Raises:
        InferenceError: the graph fails on them.
    """
    try:
        arrays: list[NDArray[Any]] = session.run(names, {INPUT: windows})
    except _REFUSED as exc:
        raise InferenceError(str(exc)) from exc
    return arrays


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # External tensors of a graph loaded from bytes resolve against the working directory; with a
    # folder that is not there they are refused instead.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", _NO_SUCH_FOLDER
    )
    return options


def _check_graph(session: ort.InferenceSession, manifest: Manifest) -> None:
    marks = session.get_modelmeta().custom_metadata_map
    if (marks.get("stream"), marks.get("seq")) != (manifest.stream, str(manifest.seq)):
        found = f"{marks.get('stream')}#{marks.get('seq')}"
        raise IncompatibleBundleError(f"the graph in the bundle says it is {found}")
    inputs = session.get_inputs()
    length, width = manifest.window.length, len(manifest.channels)
    if [found.name for found in inputs] != [INPUT] or inputs[0].type != _ORT_TYPES["float32"]:
        found = ", ".join(f"{i.name} {i.type}" for i in inputs)
        raise IncompatibleBundleError(f"input must be float32 '{INPUT}', found {found}")
    if len(inputs[0].shape) != 3 or inputs[0].shape[1:] != [length, width]:  # noqa: PLR2004  rank of [batch, length, channels]
        raise IncompatibleBundleError(
            f"input must be [batch, {length}, {width}], found {inputs[0].shape}"
        )
    given = {output.name: output.type for output in session.get_outputs()}
    for output in manifest.outputs:
        if given.get(output.name) != _ORT_TYPES[output.dtype]:
            raise IncompatibleBundleError(
                f"output '{output.name}' must be {output.dtype}, the graph has {given}"
            )
