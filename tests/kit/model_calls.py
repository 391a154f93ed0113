"""Calls over gRPC to a server, by Triton's client."""

from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from tests.kit.broker.brokers import HOST
from tests.kit.model_server import ModelServer


def port_of(server: ModelServer) -> int:
    """The port for gRPC that the server has logged at its last start."""
    address = server.log.rpartition("INFO gRPC listens address=")[2].split()[0].strip('"')
    return int(address.rpartition(":")[2])


def client_of(server: ModelServer, **tls: Any) -> InferenceServerClient:  # noqa: ANN401  the client has no types
    """A client; `tls` are its arguments for connections that are encrypted."""
    return InferenceServerClient(f"{HOST}:{port_of(server)}", **tls)


def window(rows: list[Any], name: str = "window") -> InferInput:
    """Windows of one sample each, sent raw as the client does by default."""
    values = np.array(rows, np.float32)[:, np.newaxis]
    return InferInput(name, list(values.shape), "FP32").set_data_from_numpy(values)


def refused(client: InferenceServerClient, *tensors: InferInput, **options: Any) -> tuple[str, str]:  # noqa: ANN401  as above
    """Status and message of a call that must be refused."""
    model = options.pop("model", "mass")
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, list(tensors), **options)
    assert "Traceback" not in caught.value.message()
    return caught.value.status(), caught.value.message()
