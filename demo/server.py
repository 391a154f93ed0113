"""The server of the demo: the same models over HTTP, and the page that shows the plant."""

import http.client
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from demo.gateway import PREDICTION_FILTER
from demo.telemetry import STREAM
from tests.kit.broker.brokers import HOST, Broker
from tests.kit.children import Child, python
from tests.kit.waiting import awaited

PORT = 8470
"""Where the server listens, unless another program does."""
_START_S = 60.0
_REQUEST_S = 10.0
_OK = 200

_CONFIGURATION = """\
[server]
port = {port}
state_dir = "{state}"

[registry]
url = "{registry}"
root = "{root}"
poll_s = 1.0

[[streams]]
stream = "{stream}"
versions = 2

[console]
predictions = ["{predictions}"]

[console.broker]
host = "{host}"
port = {broker_port}
protocol = "{protocol}"
"""


class ModelServer:
    """millhand-server as a process, and requests to it.

    Args:
        work: folder of its configuration, state and log.
        broker: broker whose predictions the page shows.
        registry: folder of the registry.
        root: root metadata that it trusts.
    """

    def __init__(self, work: Path, broker: Broker, registry: Path, root: Path) -> None:
        self._config, self._log = work / "server.toml", work / "server.log"
        self._broker = broker
        self._places = {"registry": registry.as_uri(), "root": root, "state": work / "http"}
        command = python("server", "run", "--config", self._config)
        self.child = Child("server", command, self._log)
        self._port = 0

    def __enter__(self) -> "ModelServer":
        """Start the server, and wait until a model answers."""
        self._write(PORT)
        self.child.start()
        if not awaited(self._is_listening, _START_S):
            raise self.child.failure()
        self.child.wait_until(lambda: self.versions, _START_S)
        return self

    def __exit__(self, *_: object) -> None:
        """End the server."""
        self.child.stop()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._port}/"

    @property
    def curl_lines(self) -> list[str]:
        """Two requests that a person can copy: what the model is, and what it makes of a reading."""
        here = f"http://{HOST}:{self._port}"
        example = self._get(f"/v1/streams/{STREAM}")["example"]["curl"]
        return [f"curl -s {here}/v2/models/{STREAM}", example]

    @property
    def versions(self) -> list[str]:
        """The numbers of the versions that answer."""
        status, document = self._ask("GET", f"/v2/models/{STREAM}", None)
        return document["versions"] if status == _OK else []

    def predict(self, seq: int, readings: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The prediction for the last of some readings of one asset.

        Args:
            seq: version that answers.
            readings: readings with time and asset, the oldest first.

        Raises:
            DemoError: the request is refused.
        """
        path = f"/v1/streams/{STREAM}/versions/{seq}/predict"
        status, document = self._ask("POST", path, {"readings": list(readings)})
        if status != _OK:
            raise DemoError(f"the server refused {path}: {document}")
        last: Mapping[str, Any] = document["predictions"][-1]
        return last

    def _get(self, path: str) -> Any:  # noqa: ANN401  any JSON value
        status, document = self._ask("GET", path, None)
        if status != _OK:
            raise DemoError(f"the server refused {path}: {document}")
        return document

    def _ask(self, method: str, path: str, document: Any) -> tuple[int, Any]:  # noqa: ANN401  any JSON value
        connection = http.client.HTTPConnection(HOST, self._port, timeout=_REQUEST_S)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, path, body)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()
