"""URLs in messages: none of them shows a password, a token or a query."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.address import MAX_CHARS, shortened, without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://models.example/registry/x.json", "https://models.example/registry/x.json"),
        ("https://user:secret@models.example:8443/x", "https://models.example:8443/x"),
        ("https://secret@models.example/x", "https://models.example/x"),
        ("https://user:se@cret@models.example/x", "https://models.example/x"),
        ("https://models.example/x?token=secret", "https://models.example/x"),
        ("https://models.example?token=secret", "https://models.example"),
        ("https://models.example/x#secret", "https://models.example/x"),
        ("https://user:sec/ret@models.example/x", "https://***/***"),
        ("https://user:sec\\ret@models.example/x", "https://***/***"),
        ("https://user:sec?ret@models.example/x", "https://***"),
        ("http://[::1]:8080/x?secret", "http://[::1]:8080/x"),
        ("http://[::1/x", "http://***/x"),
        ("file:///srv/registry@home/x", "file:///srv/registry@home/x"),
        ("file://user:secret@host/x", "file://host/x"),
        ("//user:secret@models.example/x?secret", "models.example/x"),
        ("user:secret@models.example", "models.example"),
        pytest.param(
            "https://evil.example/\x1b[31m", "https://evil.example/?[31m", id="escape sequence"
        ),
        ("", ""),
    ],
)
def test_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shortened(url) == shown
    assert without_secrets(url) == shown or "://" not in url or "\x1b" in url


def test_text_keeps_everything_but_the_secrets_of_its_urls() -> None:
    text = "found 'https://user:secret@h.example/x?secret', then (http://h/y?secret) and a@b"
    assert without_secrets(text) == "found 'https://h.example/x', then (http://h/y and a@b"


def test_long_url_is_cut() -> None:
    assert len(shortened(f"https://h/{'x' * 1000}")) <= MAX_CHARS + len("...")


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    assert shortened(text).isprintable()
    without_secrets(text)


@given(st.from_regex(r"[A-Za-z0-9._~!$&'()*+,;=:%/\\?#@-]{0,20}", fullmatch=True))
def test_no_password_is_shown_whatever_is_in_it(rest: str) -> None:
    assert "s3cr3t" not in shortened(f"https://user:s3cr3t{rest}@models.example/registry")
