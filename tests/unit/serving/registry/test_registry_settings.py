"""[registry]: which addresses and credentials go together."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from serving.registry.origin import origin_of
from serving.registry.settings import Registry
from tests.kit.wording import naming

URL = "https://models.example/registry"
PAIR = {"username": "gw1", "password_file": "p"}
CERTIFICATE = {"cert_file": "c", "key_file": "k"}


def registry(**keys: Any) -> Registry:  # noqa: ANN401  any TOML
    return Registry.model_validate({"url": URL, "root": "root.json", **keys})


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"token_file": "t"},
        PAIR,
        CERTIFICATE,
        {"ca_file": "ca", "token_file": "t", **CERTIFICATE},
        {"allowed_origins": ["https://cdn.example", "https://cdn.example:8443/"]},
        {"url": "http://127.0.0.1:8000/registry", "token_file": "t"},
        {"url": "http://[::1]:8000/registry", **PAIR},
        {"url": "http://localhost/registry", **PAIR},
        {"url": "http://models.example", "allowed_origins": ["https://models.example"]},
        {"url": "file:///srv/Werk Süd/registry"},
    ],
)
def test_settings_that_go_together(keys: dict[str, Any]) -> None:
    made = registry(**keys)
    assert made.access.files.keys() == {
        f"registry.{name}" for name in keys if name.endswith("_file")
    }


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"url": "https://u:p@models.example/"}, ("url", "token_file", "password_file")),
        ({"url": f"{URL}?token=x"}, ("url", "query", "token_file")),
        ({"url": "https:///registry"}, ("url", "host")),
        ({"url": "https://models.example:x/"}, ("url", "port")),
        ({"url": "https://models.example\\@evil.example/"}, ("url", "backslash")),
        ({"url": "https://models.example /"}, ("url", "space")),
        ({"username": "gw1"}, ("username", "password_file")),
        ({"password_file": "p"}, ("username", "password_file")),
        ({"username": "a:b", "password_file": "p"}, ("username", "colon")),
        ({"cert_file": "c"}, ("cert_file", "key_file")),
        ({"key_file": "c"}, ("cert_file", "key_file")),
        ({"token_file": "t", **PAIR}, ("token_file", "username")),
        ({"url": "http://models.example", "token_file": "t"}, ("token_file", "https://")),
        ({"url": "http://models.example", **PAIR}, ("password_file", "https://")),
        ({"url": "file:///srv", "token_file": "t"}, ("token_file", "https://")),
        ({"url": "http://127.0.0.1", "ca_file": "c"}, ("ca_file", "https://")),
        ({"url": "file:///srv", **CERTIFICATE}, ("cert_file", "https://")),
        ({"allowed_origins": ["http://cdn.example"]}, ("allowed_origins", "https://")),
        ({"allowed_origins": ["https://cdn.example/x"]}, ("allowed_origins", "path")),
        ({"allowed_origins": ["cdn.example"]}, ("allowed_origins", "https://")),
        ({"allowed_origins": ["file:///"]}, ("allowed_origins", "https://")),
        ({"url": "file:///srv", "allowed_origins": ["https://h"]}, ("allowed_origins", "file://")),
        ({"allowed_origins": ["https://h"] * 17}, ("allowed_origins", "16")),
    ],
)
def test_settings_that_do_not_go_together_are_told(
    keys: dict[str, Any], told: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationError, match=naming(*told)):
        registry(**keys)


def test_secrets_are_the_files_that_others_may_not_read() -> None:
    made = registry(ca_file="ca", token_file="t", **CERTIFICATE)
    assert made.access.secrets == {
        "registry.token_file": Path("t"),
        "registry.key_file": Path("k"),
    }


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://models.example/other", True),
        ("https://MODELS.example:443/", True),
        ("http://models.example/", False),
        ("https://models.example:8443/", False),
        ("https://models.example.evil/", False),
        ("https://evil/models.example", False),
    ],
)
def test_origin_is_scheme_host_and_port(url: str, same: bool) -> None:  # noqa: FBT001  pytest passes it by name
    assert (origin_of(url) == origin_of(URL)) is same
