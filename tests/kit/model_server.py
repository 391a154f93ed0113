"""The server as a process of its own, as systemd would run it, and requests to it."""

import http.client
import json
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import tomli_w

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.published import Published
from tests.kit.children import Child, python
from tests.kit.errors import KitError
from tests.kit.http.api_document import check_answer
from tests.kit.waiting import eventually

START_S = 60.0
PROOF_S = 10.0
STOP_S = 20.0
REQUEST_S = 20.0
LOOKS: Final[Mapping[str, object]] = {"poll_s": 0.5}
"""Section `[registry]` of a server that is to find what is published while it runs.

Without it a server looks when it starts, and then once an hour: each look is a process of its own.
"""


class Reply(NamedTuple):
    """What the server has answered.

    Attributes:
        status: HTTP status.
        headers: headers, by name in small letters.
        body: body as it was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401  any JSON value
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a refusal."""
        document = self.document
        assert list(document) == ["error"], document
        error: str = document["error"]
        assert "Traceback" not in error
        return error


@dataclass
class ModelServer:
    """A server, its folder and its configuration.

    Attributes:
        folder: folder of server.toml, of the state and of the log.
        published: registry that it follows.
        streams: the streams of server.toml.
        sections: further sections of server.toml, merged over the defaults.
        under: program and arguments that the server is started under, such as those of a sandbox.
        tls: what a client needs to connect; None where connections are not encrypted.
        start_s: seconds within which it must listen, and within which its models must be there.
    """

    folder: Path
    published: Published
    streams: Sequence[Mapping[str, object]]
    sections: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    under: Sequence[str] = ()
    tls: ssl.SSLContext | None = None
    start_s: float = START_S
    port: int = field(default=0, init=False)
    _child: Child | None = field(default=None, init=False, repr=False)

    @property
    def log(self) -> str:
        """Everything that the server has logged so far, over all restarts."""
        path = self.folder / "server.log"
        return path.read_text() if path.exists() else ""

    @property
    def state_dir(self) -> Path:
        """The folder of what survives a restart."""
        return self.folder / "state"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        if self._child is None:
            raise KitError("the server was not started")
        return self._child.process

    def write_config(self) -> Path:
        """Write server.toml."""
        self.folder.mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = {
            "server": {"host": HOST, "port": 0, "state_dir": str(self.state_dir)},
            "registry": {"url": self.published.url, "root": str(self.published.keys.root)},
            "streams": [dict(one) for one in self.streams],
        }
        for name, section in self.sections.items():
            document[name] = {**document.get(name, {}), **section}
        path = self.folder / "server.toml"
        path.write_bytes(tomli_w.dumps(document).encode())
        return path

    def start(self) -> Self:
        """Start the server, and wait until it listens."""
        before = self.log.count("INFO listening")
        command = [*self.under, *python("server", "run", "--config", self.write_config())]
        self._child = Child("server", command, self.folder / "server.log")
        self._child.start()
        self._child.wait_until(lambda: self.log.count("INFO listening") > before, self.start_s)
        address = self.log.rpartition("INFO listening address=")[2].split()[0].strip('"')
        self.port = int(address.rpartition(":")[2])
        return self

    def start_serving(self) -> Self:
        """Start the server, and wait until every stream has a model."""
        self.start()
        self.wait_for_models("/v2/health/ready")
        return self

    def wait_for_models(self, *paths: str) -> None:
        """Wait until each of the paths, which need a model, is answered with 200."""
        eventually(
            lambda: all(self.request("GET", one).status == http.HTTPStatus.OK for one in paths),
            self.start_s + PROOF_S * len(self.streams),
            f"the server to answer {', '.join(paths)}",
        )

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        **headers: str,
    ) -> Reply:
        """Send one request on a connection of its own, and hold the reply to the API's document.

        Args:
            method: method of the request.
            path: path, percent-encoded.
            body: body; a document is written as JSON.
            **headers: headers, with `_` for `-`.
        """
        content = json.dumps(body).encode() if isinstance(body, Mapping) else body
        connection = self._connection()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, content, named)
            got = connection.getresponse()
            found = {name.lower(): value for name, value in got.getheaders()}
            reply = Reply(got.status, found, got.read())
        finally:
            connection.close()
        check_answer(method, path, reply)
        return reply

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection(HOST, self.port, timeout=REQUEST_S)
        return http.client.HTTPSConnection(HOST, self.port, timeout=REQUEST_S, context=self.tls)

    def kill(self) -> None:
        """End the server as a power cut would."""
        assert self._child is not None
        self._child.kill()

    def stop(self) -> int:
        """End the server as systemd would, and return its exit code."""
        assert self._child is not None
        if not self._child.stop(STOP_S):
            raise KitError(f"the server did not end within {STOP_S:g} s of SIGTERM:\n{self.log}")
        return self.process.returncode

    def __enter__(self) -> Self:
        """Return the server; nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the server: in order, or at once where the context is left by an error."""
        if self._child is not None and self.process.poll() is None:
            if error is None:
                self.stop()
            else:
                self.kill()
