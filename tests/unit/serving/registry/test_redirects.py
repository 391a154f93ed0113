"""Where a mirror may send the gateway's requests, and where it may not."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from serving.registry.access import Access
from serving.registry.fetch import Fetcher
from serving.registry.redirects import MAX_REDIRECTS, Redirects
from serving.registry.refusals import RedirectedError, UnreachableError
from tests.kit.broker.certificates import Certificates, make_certificates
from tests.kit.bundles.mirrors import Fault, Mirror, mirror
from tests.kit.wording import naming

NAME = "timestamp.json"
CONTENT = b"{}"
HOSTS = ["models.example", "evil.example", "443", "x"]
PIECES = ["https:", "http:", "//", *HOSTS, *"/@:\\?#[]%\t\0"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / NAME).write_bytes(CONTENT)
    return tmp_path / "served"


@pytest.fixture
def served(folder: Path) -> Iterator[Mirror]:
    with mirror(folder) as running:
        yield running


@pytest.fixture
def other(folder: Path) -> Iterator[Mirror]:
    """Another host of the plant's network, which the gateway should leave alone."""
    with mirror(folder) as running:
        yield running


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "certificates")


def secured(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    return context


def read(served: Mirror, access: Access | None = None) -> bytes:
    with Fetcher(access=access or Access()) as fetcher:
        return fetcher.read(f"{served.url}/{NAME}", 100)


def refusal(served: Mirror, location: str) -> str:
    served.faults[NAME] = Fault(location=location)
    with pytest.raises(RedirectedError, match=naming(NAME)) as refused:
        read(served)
    return str(refused.value)


def test_redirect_on_the_same_server_is_followed(served: Mirror) -> None:
    (served.folder / "moved.json").write_bytes(b"moved")
    for location in ("moved.json", "/moved.json", f"{served.url}/moved.json?signature=x"):
        served.faults[NAME] = Fault(location=location)
        assert read(served) == b"moved"


def test_redirect_to_another_server_is_refused_and_not_asked(served: Mirror, other: Mirror) -> None:
    told = refusal(served, f"{other.url}/{NAME}?token=secret")
    assert f"{other.url}/{NAME}" in told
    assert f"allowed_origins = ['{other.url}']" in told
    assert "secret" not in told
    assert other.logins == []


def test_redirect_to_a_server_that_is_named_is_followed(served: Mirror, other: Mirror) -> None:
    (other.folder / "moved.json").write_bytes(b"moved")
    served.faults[NAME] = Fault(location=f"{other.url}/moved.json")
    assert read(served, Access(allowed_origins=(other.url,))) == b"moved"


def test_server_that_is_named_may_not_send_further(served: Mirror, other: Mirror) -> None:
    served.faults[NAME] = Fault(location=f"{other.url}/next.json")
    other.faults["next.json"] = Fault(location="http://127.0.0.1:1/x")
    with pytest.raises(RedirectedError, match=naming("http://127.0.0.1:1/x")):
        read(served, Access(allowed_origins=(other.url,)))


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/hostname",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "data:text/plain,x",
        "javascript:x",
        "http://[::1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/x",
        "//evil.example/x",
        "https://127.0.0.1/x",
        "http://127.0.0.1:99999/x",
    ],
)
def test_redirect_to_elsewhere_is_refused(served: Mirror, location: str) -> None:
    assert refusal(served, location)


@pytest.mark.parametrize("form", ["user:secret@{}", "secret@{}", "evil.example\\@{}", "{}\\x"])
def test_redirect_that_two_programs_could_read_differently_is_refused(
    served: Mirror, form: str
) -> None:
    (served.folder / "moved.json").write_bytes(b"moved")
    told = refusal(served, f"http://{form.format(served.url.removeprefix('http://'))}/moved.json")
    assert "secret" not in told


def test_redirect_to_another_port_is_refused(served: Mirror, other: Mirror) -> None:
    port = other.url.rpartition(":")[2]
    assert port in refusal(served, f"{served.url.rpartition(':')[0]}:{port}/{NAME}")


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@example("https://x:x@models.example/x")
@example("https://evil.example\\@models.example/x")
@example("https://models.example\\@evil.example/x")
@example("https://models.example\t.evil.example/x")
def test_no_location_leads_elsewhere(location: str) -> None:
    own = "https://models.example/registry/timestamp.json"
    try:
        target = Redirects().target(own, own, location)
    except RedirectedError:
        return
    asked = parse_url(target)  # by what makes the request
    assert (asked.scheme, asked.auth, asked.host) == ("https", None, "models.example")
    assert asked.port in (None, 443)


def test_redirect_loop_ends(served: Mirror) -> None:
    assert str(MAX_REDIRECTS) in refusal(served, f"/{NAME}")
    assert len(served.logins) == MAX_REDIRECTS + 1


def test_redirect_out_of_tls_is_refused_even_if_it_is_named(
    served: Mirror, certificates: Certificates
) -> None:
    access = Access(allowed_origins=(served.url,), ca_file=certificates.ca_file)
    with mirror(served.folder, secured(certificates)) as secure:
        assert read(secure, access) == CONTENT
        secure.faults[NAME] = Fault(location=f"{served.url}/{NAME}")
        with pytest.raises(RedirectedError, match=naming(secure.url, served.url)):
            read(secure, access)
    assert served.logins == []


def test_credentials_stay_with_the_registry(served: Mirror, other: Mirror, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t")
    access = Access(allowed_origins=(other.url,), token_file=tmp_path / "token")
    served.login = "Bearer s3cr3t"
    served.faults[NAME] = Fault(location=f"{other.url}/back.json")
    other.faults["back.json"] = Fault(location=f"{served.url}/last.json")
    (served.folder / "last.json").write_bytes(b"last")
    assert read(served, access) == b"last"
    assert served.logins == ["Bearer s3cr3t"] * 2
    assert other.logins == [""]


def test_client_certificate_stays_with_the_registry(
    folder: Path, certificates: Certificates, tmp_path: Path
) -> None:
    client = make_certificates(tmp_path / "client")
    demanding = secured(certificates)
    demanding.load_verify_locations(client.ca_file)
    demanding.verify_mode = ssl.CERT_REQUIRED
    with mirror(folder, demanding) as served, mirror(folder, demanding) as other:
        access = Access(
            allowed_origins=(other.url,),
            ca_file=certificates.ca_file,
            cert_file=client.cert_file,
            key_file=client.key_file,
        )
        assert read(other, access) == CONTENT
        asked = len(other.logins)
        served.faults[NAME] = Fault(location=f"{other.url}/{NAME}")
        with pytest.raises(UnreachableError, match="only the registry"):
            read(served, access)
        assert len(other.logins) == asked
