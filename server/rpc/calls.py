"""The six calls of `inference.GRPCInferenceService`, each answered as its path over HTTP is."""

from importlib.metadata import version
from typing import Any

from server.http.refusals import UnavailableError
from server.oip.handlers import described
from server.oip.inference import Infer
from server.oip.reasons import ReasonsOutput
from server.rpc import open_inference_pb2 as messages
from server.rpc.call import Call
from server.rpc.tensors import read, written
from server.streams.per_version import PerVersion
from server.streams.served import ServedStreams


class Calls:
    """Answers calls.

    Args:
        served: the streams that are served.
        reasons: adds the reasons of an answer.
    """

    def __init__(self, served: ServedStreams, reasons: ReasonsOutput) -> None:
        self._served, self._reasons = served, reasons
        self._infers = PerVersion(served, lambda version_: Infer(version_.model.manifest))

    async def live(self, _: messages.ServerLiveRequest, __: Call) -> messages.ServerLiveResponse:
        """Say that the server lives."""
        return messages.ServerLiveResponse(live=True)

    async def ready(self, _: messages.ServerReadyRequest, __: Call) -> messages.ServerReadyResponse:
        """Say whether every stream has a model."""
        try:
            self._served.check_ready()
        except UnavailableError:
            return messages.ServerReadyResponse(ready=False)
        return messages.ServerReadyResponse(ready=True)

    async def model_ready(
        self, message: messages.ModelReadyRequest, call: Call
    ) -> messages.ModelReadyResponse:
        """Say whether a version of a model answers."""
        try:
            self._served.chosen(call, message.name, message.version)
        except UnavailableError:
            return messages.ModelReadyResponse(ready=False)
        return messages.ModelReadyResponse(ready=True)

    async def metadata(
        self, _: messages.ServerMetadataRequest, __: Call
    ) -> messages.ServerMetadataResponse:
        """Name and version of the server."""
        return messages.ServerMetadataResponse(name="millhand", version=version("millhand"))

    async def model_metadata(
        self, message: messages.ModelMetadataRequest, call: Call
    ) -> messages.ModelMetadataResponse:
        """Inputs, outputs and versions of a model."""
        found = self._served.chosen(call, message.name, message.version)
        versions = self._served.slot(message.name).named
        document: dict[str, Any] = described(found.model.manifest, "", versions)
        del document["parameters"]
        return messages.ModelMetadataResponse(**document)

    async def infer(
        self, message: messages.ModelInferRequest, call: Call
    ) -> messages.ModelInferResponse:
        """Outputs of a model."""
        found = self._served.chosen(call, message.model_name, message.model_version)
        infer = self._infers.of(found)
        with found.measures.decode:
            wanted = read(infer, message)
        self._reasons.check(found, wanted)
        timeout_s = call.shorter(wanted.timeout_s)
        # gRPC lets nothing in once a stop has begun, so that this call was there before.
        outputs = await self._served.finish(found, wanted.windows, timeout_s)
        outputs = await self._reasons.added(found, wanted, outputs)
        with found.measures.encode:
            return written(infer, wanted, outputs)
