"""The server of the demo: the same models over HTTP, and the page that shows the plant."""

import http.client
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import tomli_w

from demo.errors import DemoError
from demo.telemetry import PREDICTION_TOPIC, STREAM
from serving.errors import EXIT_LATER
from tests.kit.broker.brokers import HOST, Broker
from tests.kit.children import Child, python
from tests.kit.waiting import awaited

PORT: Final = 8470
"""Where the server listens, unless another program does."""
_ANY_PORT: Final = 0
_START_S = 60.0
_REQUEST_S = 10.0
_OK = 200


class ModelServer:
    """millhand-server as a process, and requests to it.

    Args:
        work: folder of its configuration, state and log.
        broker: broker whose predictions the page shows.
        registry: folder of the registry.
        root: root metadata that it trusts.
        sections: further sections of its configuration, and further keys of the page's.
    """

    def __init__(
        self,
        work: Path,
        broker: Broker,
        registry: Path,
        root: Path,
        sections: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        self._sections = sections
        self._config, self._log = work / "server.toml", work / "server.log"
        self._broker = broker
        self._registry, self._state = {"url": registry.as_uri(), "root": str(root)}, work / "http"
        command = python("server", "run", "--config", self._config)
        self.child = Child("server", command, self._log)
        self._port = 0

    def __enter__(self) -> Self:
        """Start the server, and wait until a model answers."""
        with ExitStack() as failed:
            failed.callback(self.child.stop)
            for port in (PORT, _ANY_PORT):
                self._config.write_text(tomli_w.dumps(self._settings(port)), encoding="utf-8")
                self.child.start()
                awaited(lambda: self._find_port() or self.child.exit_code is not None, _START_S)
                if self.child.exit_code != EXIT_LATER:
                    break
            self.child.wait_until(self._find_port, _START_S)
            self.child.wait_until(lambda: self.versions, _START_S)
            failed.pop_all()
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
        """Requests that a person can copy: what the model is, and what it answers."""
        here = f"http://{HOST}:{self._port}"
        example = self._get(f"/v1/streams/{STREAM}")["example"]["curl"]
        return [f"curl -s {here}/v2/models/{STREAM}", example]

    @property
    def versions(self) -> list[str]:
        """The numbers of the versions that answer."""
        status, document = self._ask("GET", f"/v2/models/{STREAM}", None)
        return document["versions"] if status == _OK else []

    def rollout(self, rollout: str) -> Mapping[str, Any]:
        """How a rollout stands, by its id; one that the server does not know yet is `planned`."""
        status, document = self._ask("GET", f"/v1/rollouts/{rollout}", None)
        known: Mapping[str, Any] = document
        return (
            known if status == _OK else {"state": "planned", "stage": 0, "reason": "not seen yet"}
        )

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

    def _settings(self, port: int) -> dict[str, Any]:
        broker = {"host": HOST, "port": self._broker.port}
        if self._broker.name == "amqtt":
            broker["protocol"] = "3.1.1"  # it does not answer a CONNECT of MQTT 5
        return {
            "server": {"port": port, "state_dir": str(self._state)},
            "registry": {**self._registry, "poll_s": 1.0},
            "streams": [{"stream": STREAM, "versions": 2}],
            **self._sections,
            "console": {
                "predictions": [PREDICTION_TOPIC],
                "broker": broker,
                **self._sections.get("console", {}),
            },
        }

    def _find_port(self) -> bool:
        """Read from the log on which port the server listens; whether it says so already."""
        found = re.search(rf'listening address="?http://{HOST}:(\d+)', self._log.read_text())
        self._port = int(found[1]) if found else 0
        return found is not None

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
