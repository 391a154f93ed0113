"""A registry that demands to know who reads it: bearer token, basic authentication, certificate."""

import ssl
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from serving.registry.access import Access
from serving.registry.credentials import MAX_SECRET_BYTES, Credentials
from serving.registry.fetch import Fetcher
from serving.registry.refusals import (
    AccessDeniedError,
    CredentialsError,
    NotServedError,
    UnreachableError,
)
from tests.kit.broker.certificates import Certificates, make_certificates
from tests.kit.bundles.mirrors import Fault, Mirror, mirror
from tests.kit.wording import naming

NAME = "timestamp.json"
CONTENT = b"{}"
TOKEN = "eyJhbGciOi.s3cr3t_-~+/=="  # noqa: S105  of a server that lives as long as one test
PASSWORD = "s3cr3t pässword"  # noqa: S105  as above


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / NAME).write_bytes(CONTENT)
    return tmp_path / "served"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "server")


@pytest.fixture
def client(tmp_path: Path) -> Certificates:
    """A certificate of the gateway, by an authority that the server trusts for it."""
    return make_certificates(tmp_path / "client")


@pytest.fixture
def served(folder: Path, certificates: Certificates) -> Iterator[Mirror]:
    with mirror(folder, tls(certificates)) as running:
        yield running


@pytest.fixture
def demanding(folder: Path, certificates: Certificates, client: Certificates) -> Iterator[Mirror]:
    """A server that demands a client certificate."""
    context = tls(certificates)
    context.load_verify_locations(client.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    with mirror(folder, context) as running:
        yield running


@pytest.fixture
def trusting(certificates: Certificates) -> Access:
    return Access(ca_file=certificates.ca_file)


def tls(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    return context


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(served: Mirror, access: Access) -> bytes:
    with Fetcher(access=access) as fetcher:
        return fetcher.read(f"{served.url}/{NAME}", 100)


def test_registry_of_an_own_authority_is_read(served: Mirror, trusting: Access) -> None:
    assert read(served, trusting) == CONTENT
    assert served.logins == [""]


def test_authority_that_is_missing_is_told(served: Mirror) -> None:
    with pytest.raises(UnreachableError, match=naming("CERTIFICATE_VERIFY_FAILED", "ca_file")):
        read(served, Access())


def test_bearer_token_is_sent_and_read_anew_for_each_request(
    served: Mirror, trusting: Access, tmp_path: Path
) -> None:
    access = replace(trusting, token_file=written(tmp_path / "token", f"{TOKEN}\n"))
    served.login = f"Bearer {TOKEN}"
    with Fetcher(access=access) as fetcher:
        assert fetcher.read(f"{served.url}/{NAME}", 100) == CONTENT
        served.login = "Bearer rotated"
        written(tmp_path / "token", "rotated")
        assert fetcher.read(f"{served.url}/{NAME}", 100) == CONTENT


def test_user_name_and_password_are_sent_as_utf_8(
    served: Mirror, trusting: Access, tmp_path: Path
) -> None:
    password_file = written(tmp_path / "password", f"{PASSWORD}\n")
    access = replace(trusting, username="gw1", password_file=password_file)
    served.login = f"Basic {b64encode(f'gw1:{PASSWORD}'.encode()).decode()}"
    assert read(served, access) == CONTENT


def test_client_certificate_is_shown(
    demanding: Mirror, trusting: Access, client: Certificates
) -> None:
    access = replace(trusting, cert_file=client.cert_file, key_file=client.key_file)
    assert read(demanding, access) == CONTENT


def test_missing_client_certificate_is_told(demanding: Mirror, trusting: Access) -> None:
    with pytest.raises(UnreachableError, match=naming("client certificate", "cert_file")):
        read(demanding, trusting)


def test_client_certificate_of_a_stranger_is_told(
    demanding: Mirror, trusting: Access, tmp_path: Path
) -> None:
    stranger = make_certificates(tmp_path / "stranger")
    access = replace(trusting, cert_file=stranger.cert_file, key_file=stranger.key_file)
    with pytest.raises(UnreachableError, match=naming("client certificate", "stranger")):
        read(demanding, access)


def test_web_server_that_answers_400_without_a_certificate_is_told(
    served: Mirror, trusting: Access
) -> None:
    served.faults[NAME] = Fault(status=400)  # as nginx with ssl_verify_client
    with pytest.raises(NotServedError, match=naming("400", "cert_file")):
        read(served, trusting)


def test_port_without_tls_is_told(folder: Path, trusting: Access) -> None:
    with mirror(folder) as plain:
        plain.url = plain.url.replace("http:", "https:")
        with pytest.raises(UnreachableError, match=naming("TLS", "http://")):
            read(plain, trusting)


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_demand_of_a_login_says_what_to_set(served: Mirror, trusting: Access, scheme: str) -> None:
    served.login = f"{scheme} x"
    with pytest.raises(AccessDeniedError, match=naming("401", scheme, "token_file")) as refused:
        read(served, trusting)
    assert refused.value.status == 401


@pytest.mark.parametrize("kind", ["token_file", "password_file"])
@pytest.mark.parametrize("status", [401, 403])
def test_refused_secret_is_told_by_its_file_and_never_itself(
    served: Mirror, trusting: Access, tmp_path: Path, kind: str, status: int
) -> None:
    secret = written(tmp_path / "secret", "s3cr3t")
    access = replace(trusting, username="gw1", password_file=secret)
    if kind == "token_file":
        access = replace(trusting, token_file=secret)
    served.faults[NAME] = Fault(status=status)
    wanted = ["401", str(tmp_path / "secret")] if status == 401 else ["403", "[registry]"]
    with pytest.raises(AccessDeniedError, match=naming(*wanted)) as refused:
        read(served, access)
    assert "s3cr3t" not in str(refused.value)
    assert b64encode(b"gw1:s3cr3t").decode() not in str(refused.value)


def test_forbidden_file_without_a_login_says_what_to_set(served: Mirror, trusting: Access) -> None:
    served.faults[NAME] = Fault(status=403)
    with pytest.raises(AccessDeniedError, match=naming("403", "token_file", "cert_file")):
        read(served, trusting)


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"s3cr3t\ns3cr3t", b"s3cr3t\x00", b"s3cr3t\xff", b"s3cr3t" * MAX_SECRET_BYTES],
    ids=["empty", "blank", "two lines", "zero", "no text", "long"],
)
@pytest.mark.parametrize("kind", ["token_file", "password_file"])
def test_secret_that_cannot_be_sent_is_told_by_its_file(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    path = written(tmp_path / "secret", content)
    access = Access(username="gw1", password_file=path)
    if kind == "token_file":
        access = Access(token_file=path)
    with pytest.raises(CredentialsError, match=naming(kind, str(path))) as refused:
        Credentials(access).headers()
    assert "s3cr3t" not in str(refused.value)


def test_secret_that_is_gone_is_told(tmp_path: Path) -> None:
    access = Access(token_file=tmp_path / "gone")
    with pytest.raises(CredentialsError, match=naming("token_file", str(tmp_path / "gone"))):
        Credentials(access).headers()


def test_certificate_that_cannot_be_used_is_told(
    tmp_path: Path, certificates: Certificates, client: Certificates
) -> None:
    nothing = written(tmp_path / "nothing", "no PEM")
    encrypted = written(tmp_path / "encrypted", _encrypted(client))
    own = Access(cert_file=client.cert_file, key_file=client.key_file)
    for access, told in (
        (Access(ca_file=nothing), ("ca_file", str(nothing))),
        (Access(ca_file=tmp_path / "gone"), ("ca_file", str(tmp_path / "gone"))),
        (replace(own, cert_file=nothing), ("cert_file", str(nothing))),
        (replace(own, key_file=tmp_path / "gone"), ("key_file", str(tmp_path / "gone"))),
        (replace(own, key_file=certificates.key_file), ("key_file", str(certificates.key_file))),
        (replace(own, key_file=encrypted), ("key_file", str(encrypted))),
    ):
        with pytest.raises(CredentialsError, match=naming(*told)):
            Credentials(access).context(is_own=True)


def _encrypted(certificates: Certificates) -> bytes:
    key = serialization.load_pem_private_key(certificates.key_file.read_bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
