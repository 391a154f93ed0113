"""Settings of access that would let others in, or do not go together, are refused with a remedy."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from server.cli.commands import load
from server.settings import Settings
from serving.errors import ConfigError

TOKENS = {"tokens_file": "/etc/millhand/tokens"}
TLS = {"cert_file": "/etc/millhand/server.crt", "key_file": "/etc/millhand/server.key"}


def loaded(folder: Path, host: str, access: dict[str, Any]) -> Settings:
    path = folder / "server.toml"
    document = {
        "server": {"host": host},
        "registry": {"url": "file:///srv/registry", "root": "root.json"},
        "streams": [{"stream": "mass"}],
        "access": access,
    }
    path.write_bytes(tomli_w.dumps(document).encode())
    return load(path)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "everybody": ("0.0.0.0", {}, "access.tokens_file"),  # noqa: S104  it is what is refused
    "everybody by IPv6": ("::", {}, "access.tokens_file"),
    "a name": ("gateway-1", TLS, "millhand-server token"),
    "certificates alone": (
        "192.0.2.1",
        {**TLS, "client_ca_file": "ca.crt", "certificate_scopes": ["infer"]},
        "access.tokens_file",
    ),
    "tokens in the clear": ("192.0.2.1", TOKENS, "access.cert_file"),
    "open to others": ("192.0.2.1", {**TOKENS, **TLS, "open_scopes": ["read"]}, "open_scopes"),
    "certificate without key": ("127.0.0.1", {"cert_file": "a"}, "cert_file and key_file"),
    "clients without TLS": ("127.0.0.1", {"client_ca_file": "a"}, "client_ca_file needs TLS"),
    "scopes without authority": ("127.0.0.1", {"certificate_scopes": ["read"]}, "client_ca_file"),
    "unknown scope": ("127.0.0.1", {"open_scopes": ["write"]}, "access.open_scopes"),
    "host with a scheme": ("127.0.0.1", {"hosts": ["https://gw"]}, "small letters"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_let_others_in_are_refused_with_a_remedy(tmp_path: Path, case: str) -> None:
    host, access, said = REFUSED[case]
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, host, access)
    message = str(raised.value)
    assert message.startswith(str(tmp_path / "server.toml"))
    assert said in message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_no_token(tmp_path: Path, host: str) -> None:
    assert loaded(tmp_path, host, {}).access.open == {"infer", "read"}
    assert loaded(tmp_path, host, {}).exposures == []


def test_with_tokens_nothing_is_open_unless_it_is_set(tmp_path: Path) -> None:
    assert loaded(tmp_path, "127.0.0.1", TOKENS).access.open == frozenset()
    opened = loaded(tmp_path, "127.0.0.1", {**TOKENS, "open_scopes": ["read"]})
    assert opened.access.open == {"read"}


def test_tokens_and_tls_open_other_addresses(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "192.0.2.1", {**TOKENS, **TLS})
    assert settings.address(8470) == "https://192.0.2.1:8470"
    assert settings.exposures == []


def test_plaintext_is_allowed_knowingly_and_told(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "192.0.2.1", {**TOKENS, "allow_plaintext": True})
    (sentence,) = settings.exposures
    assert "without TLS" in sentence
