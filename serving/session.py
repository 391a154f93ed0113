"""Sessions of onnxruntime, which only this file imports: graphs that are loaded, checked and run.

onnxruntime is configured for a small gateway (ADR 5): one thread, no spinning, no memory arena, and
no telemetry, which releases from 1.29 on send unless that is disabled before the import.

Contract: building a session blocks for milliseconds to seconds, and belongs on a worker. `run`
blocks for one inference; the hot thread calls it. An error of onnxruntime is always raised as one
of ours: `IncompatibleBundleError` while a session is built (the bundle must not serve), and
`InferenceError` afterwards (drop the windows, and count them).
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
from models.bundle.package import StoredBundle
from models.errors import IncompatibleBundleError
from serving.errors import InferenceError, ModelFailedError, TimedOutError

INPUT = "window"
RUNTIME: str = ort.__version__
"""Version of onnxruntime; a graph that was proven with another one has to be proven anew."""
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
    UnicodeDecodeError,  # of a name in the graph, or of a message that has one
    MemoryError,  # std::bad_alloc, as pybind11 translates it
    RuntimeError,  # any other std::exception, likewise
)
"""All that onnxruntime raises for a graph or its inputs; it has no common base class for them."""


class Session:
    """The graph of a bundle, loaded and checked against its manifest.

    Args:
        bundle: bundle whose digests were verified. The graph is loaded from its bytes, never from
            a path, so that what runs is what was hashed.

    Attributes:
        manifest: manifest of the bundle.
        options: options of each run. Another thread may set their flag `terminate` to end the run
            that is under way.

    Raises:
        IncompatibleBundleError: onnxruntime refuses the graph, or its inputs, outputs, stream or
            seq differ from the manifest.
    """

    def __init__(self, bundle: StoredBundle) -> None:
        self.manifest = bundle.manifest
        self.options = ort.RunOptions()
        self._names = [output.name for output in bundle.manifest.outputs]
        try:
            self._session = load_graph(bundle.model)
            _check_graph(self._session, bundle.manifest)
        except IncompatibleBundleError as exc:
            raise IncompatibleBundleError(f"{bundle.ref}: {exc}") from exc

    def run(self, windows: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
        """Run the model on a batch of windows; blocks until the outputs are there.

        Args:
            windows: float32 `[n, length, channels]` in engineering units, NaN = missing.

        Returns:
            The outputs by name, each with `n` as its first axis: `value` `[n]`, `score` `[n]`,
            `probabilities` `[n, classes]`, as far as the manifest lists them.

        Raises:
            ModelFailedError: the graph fails on the windows, or its outputs have another number of
                rows. The session can be used again.
            TimedOutError: the flag `terminate` was set in the options. The session can be used
                again after `renew_options`.
        """
        count = len(windows)
        try:
            arrays = run_graph(self._session, self._names, windows, self.options)
        except InferenceError as exc:
            if self.options.terminate:
                message = f"{self._name}: an inference of {count} windows took too long"
                raise TimedOutError(f"{message}: {exc}") from exc
            raise ModelFailedError(f"{self._name}: {exc}") from exc
        for name, array in zip(self._names, arrays, strict=True):
            if array.shape[:1] != (count,):
                found = f"'{name}' has the shape {list(array.shape)} for {count} windows"
                raise ModelFailedError(f"{self._name}: no batch axis in an output: {found}")
        return dict(zip(self._names, arrays, strict=True))

    def renew_options(self) -> None:
        """Use new options, because the flag `terminate` of the old ones may have been set."""
        self.options = ort.RunOptions()

    @property
    def _name(self) -> str:
        return f"{self.manifest.stream}#{self.manifest.seq}"

    def replay_golden(self, content: bytes) -> float:
        """Check that the model answers the golden windows here as it did where it was trained.

        Args:
            content: bytes of `golden.npz`.

        Returns:
            The largest absolute difference in a float output.

        Raises:
            BundleError: the golden vectors cannot be read.
            GoldenMismatchError: an output differs by more than the manifest's tolerance.
            IncompatibleBundleError: the graph fails on the golden windows.
        """
        golden = read_golden(content, self.manifest)
        try:
            outputs = self.run(golden.windows)
        except InferenceError as exc:
            message = f"the graph fails on its own golden windows: {exc}"
            raise IncompatibleBundleError(message) from exc
        return compare(golden.outputs, outputs, self.manifest.golden)


def load_graph(model: bytes) -> ort.InferenceSession:
    """Load a graph with the options of a gateway, without a check against a manifest.

    The trainer uses it for graphs that are not in a bundle yet.

    Args:
        model: bytes of an ONNX model.

    Raises:
        IncompatibleBundleError: onnxruntime refuses the graph.
    """
    try:
        session = ort.InferenceSession(
            model,
            sess_options=_options(),
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # by default it prints the error, and tries the same once more
        )
        # onnxruntime decodes names only when they are read: those that are not UTF-8 fail here.
        _ = [tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())]
        _ = session.get_modelmeta().custom_metadata_map
    except _REFUSED as exc:
        message = f"onnxruntime {ort.__version__} refuses the graph: {exc}"
        raise IncompatibleBundleError(message) from exc
    # It keeps the bytes to build the session anew with other providers, which is not done here; a
    # model would be in memory twice for as long as it serves.
    session._model_bytes = None  # noqa: SLF001  there is no public way
    return session


def run_graph(
    session: ort.InferenceSession,
    names: Sequence[str],
    windows: NDArray[np.float32],
    options: ort.RunOptions | None = None,
) -> list[NDArray[Any]]:
    """Run a loaded graph.

    Args:
        session: session of `load_graph`.
        names: names of the outputs wanted.
        windows: float32 `[n, length, channels]` in engineering units, NaN = missing.
        options: options of the run, whose flag `terminate` ends it; None: it cannot be ended.

    Returns:
        The outputs, in the order of `names`.

    Raises:
        ModelFailedError: the graph fails on the windows.
    """
    try:
        arrays: list[NDArray[Any]] = session.run(names, {INPUT: windows}, options)
    except _REFUSED as exc:
        raise ModelFailedError(str(exc)) from exc
    return arrays


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # other services share the cores of a gateway
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena keeps the memory of the largest batch for good
    options.log_severity_level = 4  # fatal errors only: all others are raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # External tensors of a graph loaded from bytes are looked for in the working directory. In a
    # folder that does not exist none is found, so that the graph is refused.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", _NO_SUCH_FOLDER
    )
    return options


def _check_graph(session: ort.InferenceSession, manifest: Manifest) -> None:
    marks = session.get_modelmeta().custom_metadata_map
    if (marks.get("stream"), marks.get("seq")) != (manifest.stream, str(manifest.seq)):
        found = f"{marks.get('stream')}#{marks.get('seq')}"
        raise IncompatibleBundleError(
            f"the metadata of the graph name stream and seq {found}, another bundle's"
        )
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
