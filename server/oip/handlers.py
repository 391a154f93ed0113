"""The paths of the Open Inference Protocol, and those that Triton adds to it.

| method | path | answer |
| --- | --- | --- |
| GET | /v2 | name, version and extensions of the server |
| GET | /v2/health/live, /v2/health/ready | the status alone decides |
| GET | /v2/models/{model}[/versions/{version}] | inputs, outputs and versions of a model |
| GET | .../ready, .../config, .../stats | whether it answers, how it is run, how often it was |
| POST | .../infer | outputs of the model |
| POST | /v2/repository/index | all models, with what keeps one from being ready |
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from models.bundle.manifest import Manifest
from server.batching.scheduler import Version
from server.http.answer import Answer, json
from server.http.request import Request
from server.http.routes import Table
from server.oip.inference import DATATYPES, HEADER_LENGTH, QUALITY, Infer
from server.oip.reasons import ReasonsOutput
from server.oip.tensors import DATATYPE, INPUT
from server.settings import Limits
from server.streams.announcer import Notices
from server.streams.per_version import PerVersion
from server.streams.served import ServedStreams
from serving.runtime.device import Device

EXTENSIONS: Final = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
_NS_PER_S: Final = 1_000_000_000


class OpenInference:
    """Answers clients of the Open Inference Protocol.

    Args:
        served: the streams that are served.
        limits: limits of a request.
        reasons: adds the reasons of an answer.
        notices: what updates have said.
        statistics: what a version has answered, in all workers.
    """

    def __init__(
        self,
        served: ServedStreams,
        limits: Limits,
        reasons: ReasonsOutput,
        notices: Notices,
        statistics: Callable[[Version], Awaitable[Mapping[str, float]]],
    ) -> None:
        self._served, self._limits, self._notices = served, limits, notices
        self._statistics = statistics
        self._reasons = reasons
        self._infers = PerVersion(served, lambda version_: Infer(version_.model.manifest))

    def table(self) -> Table:
        """Method, path and handler of everything that is answered here."""
        both = (("", self._metadata), ("/ready", self._ready), ("/config", self._config),
                ("/stats", self._stats))  # fmt: skip
        model, one = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
        named = [("GET", f"{path}{end}", handler) for end, handler in both for path in (model, one)]
        return (
            ("GET", "/v2", self._server),
            ("GET", "/v2/health/live", self._live),
            ("GET", "/v2/health/ready", self._all_ready),
            ("GET", "/v2/models/stats", self._all_stats),
            ("POST", "/v2/repository/index", self._index),
            ("POST", f"{model}/infer", self._infer),
            ("POST", f"{one}/infer", self._infer),
            *named,
        )

    async def _infer(self, request: Request) -> Answer:
        version_ = self._served.requested(request)
        body = request.body(self._limits.max_body_bytes)
        reader = self._infers.of(version_)
        with version_.measures.decode:
            wanted = reader.read(body, request.header(HEADER_LENGTH).strip())
        self._reasons.check(version_, wanted)
        outputs = await self._served.answer(version_, wanted.windows, wanted.timeout_s)
        outputs = await self._reasons.added(version_, wanted, outputs)
        with version_.measures.encode:
            return reader.write(wanted, outputs)

    async def _server(self, _: Request) -> Answer:
        return json({"name": "millhand", "version": version("millhand"), "extensions": EXTENSIONS})

    async def _live(self, _: Request) -> Answer:
        return json({"live": True})

    async def _all_ready(self, _: Request) -> Answer:
        self._served.check_ready()
        return json({"ready": True})

    async def _metadata(self, request: Request) -> Answer:
        found = self._served.requested(request)
        slot = self._served.slot(request.model)
        document = described(found.model.manifest, found.model.sha256, slot.named)
        document["parameters"] |= _device(found.model.session.device)
        return json(document)

    async def _ready(self, request: Request) -> Answer:
        self._served.requested(request)
        return json({"name": request.names["model"], "ready": True})

    async def _config(self, request: Request) -> Answer:
        model = self._served.requested(request).model
        manifest = model.manifest
        kind = "KIND_CPU" if model.session.device.is_cpu else "KIND_GPU"
        tensors = described(manifest, "", ())
        return json(
            {
                "name": manifest.stream,
                "platform": tensors["platform"],
                "backend": "onnxruntime",
                "max_batch_size": self._limits.max_batch,
                "input": [_configured(tensor) for tensor in tensors["inputs"]],
                "output": [_configured(tensor) for tensor in tensors["outputs"]],
                "version_policy": {"specific": {"versions": [manifest.seq]}},
                "instance_group": [{"name": manifest.stream, "kind": kind, "count": 1}],
            }
        )

    async def _stats(self, request: Request) -> Answer:
        found = self._served.requested(request)
        return json({"model_stats": [_counted(found, await self._statistics(found))]})

    async def _all_stats(self, _: Request) -> Answer:
        versions = self._served.versions
        return json(
            {"model_stats": [_counted(one, await self._statistics(one)) for one in versions]}
        )

    async def _index(self, _: Request) -> Answer:
        """All models: the versions that answer, and what keeps a stream from having one."""
        entries: list[dict[str, str]] = []
        for name, slot in self._served.slots.items():
            entries += [
                {"name": name, "version": seq, "state": "READY", "reason": ""} for seq in slot.named
            ]
            if not slot.versions:
                state, reason = self._notices.without_model(slot)
                entries.append({"name": name, "version": "", "state": state, "reason": reason})
        return json(entries)


def described(manifest: Manifest, sha256: str, versions: Sequence[str]) -> dict[str, Any]:
    """The metadata of a model, as the protocol calls them."""
    outputs = [
        {
            "name": output.name,
            "datatype": DATATYPES[output.dtype],
            "shape": [-1, -1] if output.name == "probabilities" else [-1],
        }
        for output in manifest.outputs
    ]
    shape = [-1, manifest.window.length, len(manifest.channels)]
    return {
        "name": manifest.stream,
        "versions": list(versions),
        "platform": "onnx_onnxv1",
        "inputs": [{"name": INPUT, "datatype": DATATYPE, "shape": shape}],
        "outputs": [*outputs, {"name": QUALITY, "datatype": "BYTES", "shape": [-1]}],
        "parameters": {
            "version": manifest.version,
            "seq": manifest.seq,
            "sha256": sha256,
            "task": manifest.task,
            "signals": ", ".join(channel.name for channel in manifest.channels),
        },
    }


def _device(device: Device) -> dict[str, str]:
    """The device that a model runs on, and why it is not that of the configuration."""
    reason = {"device_fallback": device.reason} if device.reason else {}
    return {"device": device.name, **reason}


def _configured(tensor: Mapping[str, Any]) -> dict[str, Any]:
    """A tensor as Triton's configuration writes it, without the axis of the batch."""
    kind = "STRING" if tensor["datatype"] == "BYTES" else tensor["datatype"]
    return {"name": tensor["name"], "data_type": f"TYPE_{kind}", "dims": tensor["shape"][1:] or [1]}


def _counted(version_: Version, statistics: Mapping[str, float]) -> dict[str, Any]:
    """The statistics of a version (Triton's extension_statistics.md)."""
    manifest = version_.model.manifest
    found = {name: int(count) for name, count in statistics.items()}
    run = {"count": found["batches"], "ns": found["run_ns"]}
    return {
        "name": manifest.stream,
        "version": str(manifest.seq),
        "inference_count": found["windows"],
        "execution_count": found["batches"],
        "inference_stats": {
            "success": {"count": found["requests"], "ns": found["run_ns"]},
            "compute_infer": run,
        },
    }
