"""Who may ask what: tokens, sessions of the page, other sites, TLS and client certificates."""

import http.client
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.cli.commands import run
from tests.kit.broker.brokers import HOST
from tests.kit.broker.certificates import Certificates, make_certificates
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import python
from tests.kit.http.access_tokens import make_tokens
from tests.kit.model_server import ModelServer, Reply
from tests.kit.waiting import eventually

INFER = "/v2/models/mass/infer"
TENSOR = {"name": "window", "datatype": "FP32", "shape": [1, 1, 2], "data": [1, 2]}
BODY = {"inputs": [TENSOR]}
LIMITS = {"client_s": 1.0, "max_connections": 100}
SESSION = "/console/session"


@dataclass
class Guarded:
    """A server with a token for each scope."""

    server: ModelServer
    tokens_file: Path
    tokens: dict[str, str]

    def request(self, method: str, path: str, token: str = "", **headers: str) -> Reply:
        if token:
            headers["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        body = BODY if method == "POST" and path == INFER else None
        return self.server.request(method, path, body, **headers)

    def log_in(self, token: str) -> Reply:
        return self.server.request("POST", SESSION, {"token": self.tokens.get(token, token)})


def published(folder: Path) -> Published:
    registry = Published.create(folder)
    registry.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    return registry


def make_guarded(folder: Path, **more: Any) -> Guarded:  # noqa: ANN401  settings
    path = folder / "tokens"
    tokens = make_tokens(path, "infer", "read", "admin", "infer,read")
    sections: dict[str, Mapping[str, object]] = {
        "access": {"tokens_file": str(path), **more},
        "limits": LIMITS,
        "server": {"repository_control": True},
    }
    server = ModelServer(folder / "home", published(folder), [{"stream": "mass"}], sections)
    return Guarded(server, path, tokens)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    one = make_guarded(tmp_path_factory.mktemp("guarded"))
    with one.server:
        one.server.start_serving()
        yield one


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server as it is by default: open to this machine; one name is allowed."""
    folder: Path = tmp_path_factory.mktemp("opened")
    sections = {"access": {"hosts": ["gw.example"]}}
    with ModelServer(folder / "home", published(folder), [{"stream": "mass"}], sections) as server:
        yield server.start_serving()


NEEDED = [
    ("POST", INFER, "infer"),
    ("POST", "/v2/models/mass/versions/1/infer", "infer"),
    ("GET", "/v2", "read"),
    ("GET", "/v2/models/mass", "read"),
    ("HEAD", "/v2/models/mass/config", "read"),
    ("GET", "/v2/models/stats", "read"),
    ("POST", "/v2/repository/index", "read"),
    ("POST", "/v2/repository/models/mass/load", "admin"),
]


@pytest.mark.parametrize(("method", "path", "scope"), NEEDED)
def test_each_path_needs_its_scope_and_no_other_is_enough(
    guarded: Guarded, method: str, path: str, scope: str
) -> None:
    assert guarded.request(method, path, scope).status in (200, 400)
    for other in {"infer", "read", "admin"} - {scope}:
        reply = guarded.request(method, path, other)
        assert reply.status == 403
        challenge = f'Bearer realm="millhand", error="insufficient_scope", scope="{scope}"'
        assert reply.headers["www-authenticate"] == challenge
        if method != "HEAD":
            assert f"this needs {scope}" in reply.error


def test_supervisor_needs_no_token(guarded: Guarded) -> None:
    assert guarded.request("GET", "/v2/health/live").status == 200
    assert guarded.request("GET", "/v2/health/ready").status == 200


@pytest.mark.parametrize(
    ("sent", "is_wrong"),
    [("", False), ("Basic YTpi", False), ("Bearer", True), ("Bearer stranger", True)],
)
def test_request_without_a_known_token_is_told_how_to_ask(
    guarded: Guarded, sent: str, *, is_wrong: bool
) -> None:
    headers = {"Authorization": sent} if sent else {}
    reply = guarded.server.request("GET", "/v2", None, **headers)
    assert reply.status == 401
    challenge = reply.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="millhand"')
    assert ("invalid_token" in challenge) == is_wrong
    assert "oken" in reply.error


def test_no_token_is_told_and_refusals_do_not_fill_the_log(guarded: Guarded) -> None:
    lines = guarded.server.log.count("access refused")
    told = "".join(guarded.request("GET", "/v2", f"stranger{n}").error for n in range(50))
    told += guarded.log_in("stranger").error + guarded.server.log
    assert "stranger" not in told
    assert not any(token in told for token in guarded.tokens.values())
    assert guarded.server.log.count("access refused") - lines <= 1
    assert not any(token in guarded.tokens_file.read_text() for token in guarded.tokens.values())


def test_page_reads_by_a_cookie_that_no_script_and_no_other_site_gets(guarded: Guarded) -> None:
    reply = guarded.log_in("infer,read")
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    cookie, *attributes = reply.headers["set-cookie"].split("; ")
    assert set(attributes) == {"Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"}
    assert guarded.tokens["infer,read"] not in cookie
    assert guarded.request("GET", "/v2/models/mass", Cookie=cookie).status == 200
    asked = guarded.request("POST", INFER, Cookie=cookie)
    assert asked.status == 403
    assert 'scope="infer"' in asked.headers["www-authenticate"]
    gone = guarded.request("DELETE", SESSION, Cookie=cookie)
    assert "Max-Age=0" in gone.headers["set-cookie"]
    assert guarded.request("GET", "/v2/models/mass", Cookie=cookie).status == 401


@pytest.mark.parametrize(("token", "status"), [("infer", 403), ("stranger", 401), ("", 401)])
def test_session_needs_a_token_that_may_read(guarded: Guarded, token: str, status: int) -> None:
    reply = guarded.log_in(token)
    assert reply.status == status
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "\xc3\xa9"}'],
    ids=["nothing", "a list", "no token", "a number", "not ASCII"],
)
def test_session_without_a_token_is_malformed(guarded: Guarded, body: bytes) -> None:
    assert guarded.server.request("POST", SESSION, body).status == 400
    assert guarded.server.request("POST", SESSION, b"x" * 5000).status == 413


def test_tokens_are_read_again_without_a_restart(tmp_path: Path) -> None:
    one = make_guarded(tmp_path)
    with one.server:
        one.server.start_serving()
        cookie = one.log_in("read").headers["set-cookie"].split("; ")[0]
        before = dict(one.tokens)
        one.tokens_file.write_text("nonsense\n")
        eventually(lambda: "what was read before stays in use" in one.server.log, 20.0)
        assert one.request("GET", "/v2", "read").status == 200
        one.tokens.update(make_tokens(one.tokens_file, "read"))
        eventually(lambda: one.request("GET", "/v2", "read").status == 200, 20.0)
        assert one.request("GET", "/v2", before["read"]).status == 401
        assert one.request("POST", INFER, "infer").status == 401
        assert one.request("GET", "/v2", Cookie=cookie).status == 401


FOREIGN: dict[str, tuple[str, dict[str, str], int]] = {
    "name that was bound again": ("GET", {"Host": "evil.example:8470"}, 421),
    "name like ours": ("GET", {"Host": "localhost.evil.example"}, 421),
    "name with our address": ("GET", {"Host": "127.0.0.1.evil.example"}, 421),
    "form of another site": ("POST", {"Origin": "https://evil.example"}, 403),
    "script of another site": ("GET", {"Origin": "https://evil.example"}, 403),
    "another port": ("POST", {"Origin": "http://127.0.0.1:1"}, 403),
    "hidden origin": ("POST", {"Origin": "null"}, 403),
    "no origin, but another site": ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_page_of_another_site_gets_nothing_though_its_browser_is_let_in(
    opened: ModelServer, case: str
) -> None:
    method, headers, status = FOREIGN[case]
    path = INFER if method == "POST" else "/v2/models/mass"
    reply = opened.request(method, path, BODY if method == "POST" else None, **headers)
    assert reply.status == status
    assert reply.error


def test_page_of_another_site_gets_nothing_by_a_cookie(guarded: Guarded) -> None:
    cookie = guarded.log_in("read").headers["set-cookie"].split("; ")[0]
    foreign = {"Cookie": cookie, "Origin": "https://evil.example"}
    assert guarded.request("GET", "/v2/models/mass", **foreign).status == 403
    assert guarded.request("DELETE", SESSION, **foreign).status == 403
    assert guarded.request("GET", "/v2/models/mass", Cookie=cookie).status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "[::1]:9", "192.0.2.7", "gw.example"])
def test_own_names_and_pages_are_let_in(opened: ModelServer, host: str) -> None:
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert opened.request("POST", INFER, BODY, **own).status == 200


def test_token_is_enough_under_any_name(guarded: Guarded) -> None:
    foreign = {"Host": "gw.example", "Origin": "https://evil.example"}
    assert guarded.request("POST", INFER, "infer", **foreign).status == 200


def test_no_answer_shares_anything_with_other_sites(opened: ModelServer) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    own = {"Origin": f"http://{HOST}:{opened.port}"}
    replies = [
        opened.request("OPTIONS", INFER, None, **asked),
        opened.request("POST", INFER, BODY, **asked),
        opened.request("POST", INFER, BODY, **own),
        opened.request("GET", "/nothing", None, **own),
    ]
    assert [one.status for one in replies] == [405, 403, 200, 404]
    names = {name for one in replies for name in one.headers}
    assert not [name for name in names if name.startswith("access-control")]


def client_tls(authority: Certificates, client: Certificates | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca_file)
    if client is not None:
        context.load_cert_chain(client.cert_file, client.key_file)
    return context


def encrypted(folder: Path, certificate: str) -> tuple[Guarded, Certificates, Certificates]:
    """A server with TLS, its certificate, and the certificate of a client."""
    own, client = make_certificates(folder / "own"), make_certificates(folder / "client", "hmi")
    one = make_guarded(
        folder,
        cert_file=str(own.cert_file),
        key_file=str(own.key_file),
        client_ca_file=str(client.ca_file),
        client_certificate=certificate,
        certificate_scopes=["read"],
    )
    one.server.tls = client_tls(own, client)
    return one, own, client


def test_client_without_a_certificate_is_not_let_in(tmp_path: Path) -> None:
    one, own, client = encrypted(tmp_path, "required")
    with one.server:
        one.server.start_serving()
        assert one.request("GET", "/v2/models/mass").status == 200
        assert one.request("POST", INFER).status == 401
        assert one.request("POST", INFER, "infer").status == 200
        strangers = (None, make_certificates(tmp_path / "strange", "hmi"), own)
        for stranger in strangers:
            one.server.tls = client_tls(own, stranger)
            with pytest.raises(OSError):  # noqa: PT011  TLS, or the connection, according to the system
                one.request("GET", "/v2/health/live")
        one.server.tls = client_tls(own, client)


def test_optional_certificate_may_read_and_others_need_a_token(tmp_path: Path) -> None:
    one, own, client = encrypted(tmp_path, "optional")
    with one.server:
        one.server.start_serving()
        assert one.request("GET", "/v2").status == 200
        foreign = one.request("GET", "/v2", Origin="https://evil.example")
        assert foreign.status == 403
        one.server.tls = client_tls(own)
        assert one.request("GET", "/v2").status == 401
        assert one.request("GET", "/v2", "read").status == 200
        assert "; Secure" in one.log_in("read").headers["set-cookie"]
        _check_versions(own, one.server.port)
        _check_hung_handshake(one.server.port)
        _replace_certificate(one, own, tmp_path)
        one.server.tls = client_tls(own, client)


def _check_versions(own: Certificates, port: int) -> None:
    """TLS 1.2 is spoken, and nothing older (RFC 8996)."""
    context = client_tls(own)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((HOST, port), timeout=10.0) as client,
        context.wrap_socket(client, server_hostname=HOST) as wrapped,
    ):
        assert wrapped.version() == "TLSv1.2"
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((HOST, port), timeout=10.0) as client,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(client, server_hostname=HOST)


def _check_hung_handshake(port: int) -> None:
    """A client that never begins its handshake is cut off."""
    with socket.create_connection((HOST, port), timeout=10.0) as client:
        assert client.recv(1) == b""


def _replace_certificate(one: Guarded, own: Certificates, folder: Path) -> None:
    """A new certificate is used without a restart, once its key is there too."""
    new = make_certificates(folder / "new")
    shutil.copy(new.cert_file, own.cert_file)
    eventually(lambda: "what was read before stays in use" in one.server.log, 20.0)
    assert one.request("GET", "/v2/health/live").status == 200
    shutil.copy(new.key_file, own.key_file)
    shutil.copy(new.ca_file, own.ca_file)
    one.server.tls = client_tls(own)

    def is_seen() -> bool:
        try:
            return one.request("GET", "/v2/health/live").status == 200
        except ssl.SSLError:
            return False

    eventually(is_seen, 20.0)


def test_check_tells_what_others_could_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = make_guarded(tmp_path, allow_plaintext=True)
    one.tokens_file.chmod(0o644)
    one.server.sections = {**one.server.sections, "server": {"host": "0.0.0.0"}}  # noqa: S104  as said
    config = one.server.write_config()
    assert run(["check", "--config", str(config)]) == 0
    told = capsys.readouterr().out
    assert "warn  access.tokens_file: every user of this machine may read" in told
    assert "warn  access.allow_plaintext: tokens arrive at 0.0.0.0 without TLS" in told
    with one.server:
        one.server.start()
        assert "WARNING tokens may be read by others" in one.server.log
        assert one.request("GET", "/v2").status == 401


def test_tokens_and_certificates_that_cannot_be_used_end_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, own, _ = encrypted(tmp_path, "optional")
    config = str(one.server.write_config())
    other = make_certificates(tmp_path / "other")
    for path, content, said in (
        (one.tokens_file, "secret-token\n", f"{one.tokens_file}, line 1"),
        (own.key_file, other.key_file.read_text(), "KEY_VALUES_MISMATCH"),
        (own.cert_file, "nonsense", "cannot be used"),
    ):
        before = path.read_text()
        path.write_text(content)
        assert run(["run", "--config", config]) == 78
        told = capsys.readouterr().err
        assert said in told
        assert "secret-token" not in told
        path.write_text(before)


def test_address_in_use_is_told(tmp_path: Path) -> None:
    one = make_guarded(tmp_path)
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        one.server.sections = {**one.server.sections, "server": {"port": port}}
        command = python("server", "run", "--config", one.server.write_config())
        done = subprocess.run(command, capture_output=True, text=True, timeout=30.0, check=False)
    assert done.returncode == 75
    assert f"{HOST}:{port} cannot be listened on" in done.stderr


def test_command_makes_a_token_and_its_line(
    guarded: Guarded, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["token", "hmi", "--scopes", "infer,read"]) == 0
    told = capsys.readouterr().out.split()
    token = next(word for word in told if word.startswith("millhand_"))
    line = " ".join(told[-3:])
    with guarded.tokens_file.open("a") as file:
        file.write(f"\n{line}\n")
    eventually(lambda: guarded.request("POST", INFER, token).status == 200, 20.0)
    assert guarded.request("GET", "/v2", token).status == 200
    assert run(["token", "hmi", "--scopes", "everything"]) == 78
    assert run(["token", "h m i"]) == 78


def test_whole_address_counts_instead_of_the_header(opened: ModelServer) -> None:
    connection = http.client.HTTPConnection(HOST, opened.port, timeout=10.0)
    statuses = []
    for address, host in (("localhost", "evil.example"), ("evil.example", "localhost")):
        connection.request("GET", f"http://{address}/v2", headers={"Host": host})
        reply = connection.getresponse()
        reply.read()
        statuses.append(reply.status)
    connection.close()
    assert statuses == [200, 421]
