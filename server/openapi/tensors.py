"""Schemas of the Open Inference Protocol, version 2, and of what Triton adds to it.

Specification: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from collections.abc import Mapping
from typing import Final

from server.openapi.schemas import ANY, Schema, array, flag, record, ref, table, text, whole

_OUTPUTS: Final = "`value`, `score` or `probabilities`, or `quality`; or `why`"

_TENSOR: Final = record(
    {
        "name": text("Name of the tensor."),
        "datatype": text("FP32, INT64 or BYTES."),
        "shape": array(whole(), "Length of each axis; -1 stands for the number of windows."),
    }
)
_INPUT: Final = record(
    {
        "name": text("Always `window`."),
        "datatype": text("Always FP32."),
        "shape": array(whole(), "`[n, length, signals]`: windows, samples in each, signals."),
    },
    {
        "data": array(
            ANY,
            "The values in engineering units, nested as `shape` says or flat in row-major order; "
            "null is a missing value. Left out where raw bytes follow the JSON.",
        ),
        "parameters": record(
            {}, {"binary_data_size": whole("Raw bytes of this tensor that follow the JSON.")}
        ),
    },
)
_REQUESTED: Final = record(
    {"name": text(f"{_OUTPUTS}.")},
    {"parameters": record({}, {"binary_data": flag("Whether it is wanted as raw bytes.")})},
)
_OUTPUT: Final = record(
    {
        "name": text(f"{_OUTPUTS}."),
        "datatype": text("FP32, INT64 or BYTES."),
        "shape": array(whole(), "`[n]`, and `[n, classes]` for `probabilities`."),
    },
    {
        "data": array(
            {"type": ["number", "string"]},
            "The values in row-major order. The words of `quality` are GOOD, and UNCERTAIN where a "
            "missing value was imputed. Left out where raw bytes follow the JSON.",
        ),
        "parameters": record(
            {}, {"binary_data_size": whole("Raw bytes of this tensor that follow the JSON.")}
        ),
    },
)
_COUNTED: Final = record({"count": whole("How many."), "ns": whole("Nanoseconds in all.")})
_CONFIGURED: Final = record(
    {
        "name": text("Name of the tensor."),
        "data_type": text("TYPE_FP32, TYPE_INT64 or TYPE_STRING."),
        "dims": array(whole(), "Length of each axis but that of the windows."),
    }
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "ServerMetadata": record(
        {
            "name": text("Always `millhand`."),
            "version": text("Version of millhand."),
            "extensions": array(text(), "Extensions of the protocol that are there."),
        }
    ),
    "Live": record({"live": flag("Always true.")}),
    "Ready": record({"ready": flag("Always true: without a model the status is 503.")}),
    "ModelReady": record({"name": text("Name of the model."), "ready": flag("Always true.")}),
    "TensorMetadata": _TENSOR,
    "ModelMetadata": record(
        {
            "name": text("Name of the model."),
            "versions": array(text(), "The `seq` of each version that answers, newest first."),
            "platform": text("Always `onnx_onnxv1`."),
            "inputs": array(ref("TensorMetadata")),
            "outputs": array(ref("TensorMetadata")),
            "parameters": record(
                {
                    "version": text("Semantic version."),
                    "seq": whole("Number of the bundle in its stream."),
                    "sha256": text("SHA-256 of the bundle, as the registry's signature names it."),
                    "task": text(choices=("classification", "regression", "anomaly")),
                    "signals": text("Names of the signals in the order of the last axis."),
                },
                {
                    "device": text("Device that the model runs on."),
                    "device_fallback": text("Why it is not that of the configuration."),
                },
            ),
        }
    ),
    "InferenceInput": _INPUT,
    "RequestedOutput": _REQUESTED,
    "InferenceRequest": record(
        {"inputs": array(ref("InferenceInput"), "One tensor, `window`.", least=1)},
        {
            "id": text("Identity of the request, at most 256 characters; the answer repeats it."),
            "outputs": array(
                ref("RequestedOutput"), "Those that are wanted; all but `why` if empty."
            ),
            "parameters": record(
                {},
                {
                    "timeout": whole("Microseconds in which to answer; 0 or left out: no wish."),
                    "binary_data_output": flag("Whether all outputs are wanted as raw bytes."),
                },
            ),
        },
    ),
    "InferenceOutput": _OUTPUT,
    "InferenceResponse": record(
        {
            "model_name": text("Name of the model."),
            "model_version": text("The `seq` of the version that has answered."),
            "parameters": record({"version": text("Its semantic version.")}),
            "outputs": array(ref("InferenceOutput")),
        },
        {"id": text("As in the request.")},
    ),
    "ModelConfiguration": record(
        {
            "name": text("Name of the model."),
            "platform": text("Always `onnx_onnxv1`."),
            "backend": text("What runs it."),
            "max_batch_size": whole("Windows that one run of the model answers at most."),
            "input": array(ref("ConfiguredTensor")),
            "output": array(ref("ConfiguredTensor")),
            "version_policy": record({"specific": record({"versions": array(whole())})}),
            "instance_group": array(table({"type": ["string", "number"]})),
        }
    ),
    "ConfiguredTensor": _CONFIGURED,
    "Statistics": record({"model_stats": array(ref("ModelStatistics"))}),
    "ModelStatistics": record(
        {
            "name": text("Name of the model."),
            "version": text("The `seq` of the version."),
            "inference_count": whole("Windows that were answered."),
            "execution_count": whole("Runs of the model, each of one batch of windows."),
            "inference_stats": record({"success": ref("Counted"), "compute_infer": ref("Counted")}),
        }
    ),
    "Counted": _COUNTED,
    "RepositoryRequest": record(
        {},
        {
            "parameters": record(
                {},
                {
                    "version": {
                        "type": ["integer", "string"],
                        "description": "The `seq` of the bundle to load; without it the "
                        "configuration decides.",
                    },
                    "unload_dependents": flag("Without effect."),
                },
            )
        },
    ),
    "IndexEntry": record(
        {
            "name": text("Name of the model."),
            "version": text("The `seq` of a version that answers; empty without one."),
            "state": text(choices=("READY", "LOADING", "UNAVAILABLE")),
            "reason": text("What keeps the stream from having a model; empty where it has one."),
        }
    ),
}
