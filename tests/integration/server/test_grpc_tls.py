"""gRPC over TLS: the files of HTTP, client certificates, and a certificate that is renewed."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.kit.broker.certificates import Certificates, make_certificates
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.http.access_tokens import make_tokens
from tests.kit.model_calls import client_of, refused, window
from tests.kit.model_server import ModelServer
from tests.kit.waiting import eventually


class Encrypted:
    """A server with TLS, which takes certificates of clients as its settings say."""

    def __init__(self, folder: Path, client_certificate: str) -> None:
        self.own = make_certificates(folder / "own")
        self.client = make_certificates(folder / "client", "hmi")
        tokens = folder / "tokens"
        token = make_tokens(tokens, "infer,read")["infer,read"]
        self.bearer = {"authorization": f"Bearer {token}"}
        published = Published.create(folder)
        published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
        sections: dict[str, dict[str, object]] = {
            "grpc": {"port": 0},
            "access": {
                "tokens_file": str(tokens),
                "cert_file": str(self.own.cert_file),
                "key_file": str(self.own.key_file),
                "client_ca_file": str(self.client.ca_file),
                "client_certificate": client_certificate,
                "certificate_scopes": ["read"],
            },
        }
        self.server = ModelServer(folder / "home", published, [{"stream": "mass"}], sections)

    def start(self) -> None:
        self.server.start()
        with closing(self.connected(self.client)) as client:
            eventually(client.is_server_ready, 60.0)

    def connected(
        self, client: Certificates | None = None, authority: Certificates | None = None
    ) -> InferenceServerClient:
        """A client that shows a certificate, or none."""
        files: dict[str, Any] = {}
        if client is not None:
            files["private_key"] = str(client.key_file)
            files["certificate_chain"] = str(client.cert_file)
        trusted = str((authority or self.own).ca_file)
        return client_of(self.server, ssl=True, root_certificates=trusted, **files)

    def is_let_in(
        self, client: Certificates | None = None, authority: Certificates | None = None
    ) -> bool:
        with closing(self.connected(client, authority)) as asking:
            try:
                return bool(asking.is_server_live(client_timeout=10.0))
            except InferenceServerException as exc:
                assert exc.status() in {  # noqa: PT017  TLS tells the client, or just ends
                    "StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED",
                }  # fmt: skip
                return False


def test_client_without_a_certificate_is_not_let_in_where_one_is_required(tmp_path: Path) -> None:
    one = Encrypted(tmp_path, "required")
    with one.server:
        one.start()
        with closing(one.connected(one.client)) as client:
            assert client.get_model_metadata("mass").name == "mass"
            status, message = refused(client, window([[1, 2]]))
            assert status == "StatusCode.UNAUTHENTICATED"
            assert "a token with the scope infer" in message
            found = client.infer("mass", [window([[1, 2]])], headers=one.bearer)
            assert found.as_numpy("value").tolist() == [21.0]
        for stranger in (None, make_certificates(tmp_path / "strange", "hmi"), one.own):
            assert not one.is_let_in(stranger)
        with closing(client_of(one.server)) as plain, pytest.raises(InferenceServerException):
            plain.is_server_live(client_timeout=10.0)


def test_optional_certificate_is_not_asked_for_and_a_token_is_needed(tmp_path: Path) -> None:
    one = Encrypted(tmp_path, "optional")
    with one.server:
        one.start()
        with closing(one.connected(one.client)) as client:
            status, _ = refused(client, window([[1, 2]]))
            assert status == "StatusCode.UNAUTHENTICATED"
            with pytest.raises(InferenceServerException, match="a token with the scope read"):
                client.get_model_metadata("mass")
        with closing(one.connected()) as client:
            assert client.get_model_metadata("mass", headers=one.bearer).name == "mass"


def test_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    one = Encrypted(tmp_path, "optional")
    with one.server:
        one.start()
        new = make_certificates(tmp_path / "new")
        assert not one.is_let_in(authority=new)
        shutil.copy(new.key_file, one.own.key_file)
        shutil.copy(new.cert_file, one.own.cert_file)
        eventually(lambda: one.is_let_in(authority=new), 20.0)
