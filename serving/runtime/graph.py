"""Graphs that are loaded and run by onnxruntime.

onnxruntime is configured for a small gateway (ADR 5): one thread, no spinning, no memory arena, and
no telemetry, which releases from 1.29 on send unless that is disabled before the import.
"""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # here too: either file may be imported first

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime import InferenceSession, RunOptions
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from models.errors import IncompatibleBundleError
from serving.errors import ModelFailedError
from serving.runtime.device import CPU, Device
from serving.runtime.sealed import sealed

__all__ = ["INPUT", "RUNTIME", "InferenceSession", "RunOptions", "load_graph", "run_graph"]

INPUT: Final = "window"
RUNTIME: str = ort.__version__
"""Version of onnxruntime; a graph that was proven with another one has to be proven anew."""
_NO_SUCH_FOLDER: Final = "/nonexistent"
_REFUSED: Final = (
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


def load_graph(model: bytes, device: Device = CPU, *, is_shared: bool = False) -> InferenceSession:
    """Load a graph with the options of a gateway, without a check against a manifest.

    The trainer uses it for graphs that are not in a bundle yet.

    Args:
        model: bytes of an ONNX model.
        device: device that it is to run on. Operators that the device does not have run on the
            processor.
        is_shared: whether other threads of the program have to go on meanwhile. On the processor
            the graph is then in memory once more while it is loaded (`serving.runtime.sealed`).

    Raises:
        IncompatibleBundleError: onnxruntime refuses the graph, or runs nothing of it on the device.
    """
    try:
        session = _built(model, device, is_shared=is_shared and device.is_cpu)
        # onnxruntime decodes names only when they are read: those that are not UTF-8 fail here.
        _ = [tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())]
        _ = session.get_modelmeta().custom_metadata_map
    except _REFUSED as exc:
        message = f"onnxruntime {ort.__version__} refuses the graph: {exc}"
        raise IncompatibleBundleError(message) from exc
    # It keeps the bytes to build the session anew with other providers, which is not done here; a
    # model would be in memory twice for as long as it serves.
    session._model_bytes = None  # noqa: SLF001  there is no public way
    if not device.is_cpu:
        _check_device(session, device)
    return session


def _built(model: bytes, device: Device, *, is_shared: bool) -> InferenceSession:
    with sealed(model) if is_shared else nullcontext() as path:
        return InferenceSession(
            model if path is None else path,
            sess_options=_options(device),
            providers=None if device.plugged else _providers(device),
            enable_fallback=0,  # by default it prints the error, and tries the same once more
        )


def run_graph(
    session: InferenceSession,
    names: Sequence[str],
    windows: NDArray[np.float32],
    options: RunOptions | None = None,
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


def _providers(device: Device) -> list[str | tuple[str, dict[Any, Any]]]:
    if device.is_cpu:
        return [CPU.provider]
    return [(device.provider, dict(device.options)), CPU.provider]


def _options(device: Device) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # other services share the cores of a gateway
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena keeps the memory of the largest batch for good
    options.log_severity_level = 4  # fatal errors only: all others are raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # External tensors of a graph are looked for in the working directory, or beside the file that
    # it is loaded from. In a folder that does not exist none is found, so that it is refused.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", _NO_SUCH_FOLDER
    )
    if not device.is_cpu:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if device.plugged:
        options.add_provider_for_devices(device.plugged, dict(device.options))
    return options


def _check_device(session: InferenceSession, device: Device) -> None:
    """Refuse a session that onnxruntime has given to the processor, which it does not say."""
    if device.provider not in session.get_providers():
        raise IncompatibleBundleError(
            f"onnxruntime {ort.__version__} cannot start {device.provider} for the device "
            f"'{device.name}', and took {', '.join(session.get_providers())}: its libraries or the "
            "driver are missing, or have another version"
        )
    parts = session.get_provider_graph_assignment_info()
    if not any(part.ep_name == device.provider for part in parts):
        raise IncompatibleBundleError(
            f"no operator of the graph runs on the device '{device.name}': its provider "
            f"{device.provider} has none of them"
        )
