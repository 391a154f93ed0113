"""Tokens, their file, and sessions: what is stored, what is found, and what ends."""

from pathlib import Path

import pytest

from server.access.refusals import UnauthorizedError
from server.access.sessions import COOKIE, Sessions
from server.access.tokens import Tokens, made
from serving.errors import ConfigError


def test_token_is_long_random_and_not_in_its_line() -> None:
    tokens = [made("line-1", ["infer", "read"]) for _ in range(20)]
    assert len({token for token, _ in tokens}) == 20
    for token, line in tokens:
        assert len(token) >= 43  # 256 bits in base 64
        assert token not in line
        assert line.startswith("line-1 infer,read sha256:")


def test_token_is_found_by_its_hash_alone(tmp_path: Path) -> None:
    token, line = made("hmi", ["read"])
    path = tmp_path / "tokens"
    path.write_text(f"# tokens of line 1\n\n{line}\n")
    tokens = Tokens(path)
    grant = tokens.find(f"Bearer {token}".encode())
    assert (grant.name, sorted(grant.scopes)) == ("hmi", ["read"])
    assert tokens.find(f"bearer  {token} ".encode()) == grant
    for other in (token[:-1], token + "a", "", line, f"Basic {token}"):
        with pytest.raises(UnauthorizedError) as raised:
            tokens.find(f"Bearer {other}".encode())
        assert token not in str(raised.value)


HASH = "sha256:" + "0" * 64
BAD_LINES = {
    "two words": f"hmi {HASH}",
    "unknown scope": f"hmi write {HASH}",
    "no hash": "hmi read secret",
    "short hash": "hmi read sha256:00",
    "a name that steers a terminal": f"\x1b[2J read {HASH}",
    "name twice": f"hmi read {HASH}\nhmi infer sha256:{'1' * 64}",
    "hash twice": f"hmi read {HASH}\nother infer {HASH}",
    "too long": "# " + "x" * (300 << 10),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_malformed_file_is_refused_and_no_line_of_it_repeated(tmp_path: Path, case: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(BAD_LINES[case])
    with pytest.raises(ConfigError) as raised:
        Tokens(path)
    assert f"access.tokens_file: {path}" in str(raised.value)
    for secret in ("secret", "0000", "\x1b"):
        assert secret not in str(raised.value)


def cookies(value: str) -> dict[bytes, bytes]:
    return {b"cookie": f"other=1; {COOKIE}={value}".encode()}


def test_session_ends_after_its_time_and_by_a_logout() -> None:
    now_s = [0.0]
    sessions = Sessions(100.0, 10, lambda: now_s[0])
    first, second = sessions.begin(b"a"), sessions.begin(b"b")
    found = sessions.find(cookies(first))
    assert found is not None
    assert found.token_sha256 == b"a"
    sessions.end(cookies(second))
    assert sessions.find(cookies(second)) is None
    now_s[0] = 100.0
    assert sessions.find(cookies(first)) is None


def test_oldest_session_ends_where_there_are_too_many() -> None:
    sessions = Sessions(100.0, 3, lambda: 0.0)
    values = [sessions.begin(b"a") for _ in range(5)]
    assert [sessions.find(cookies(value)) is not None for value in values] == [False] * 2 + [
        True
    ] * 3


@pytest.mark.parametrize("sent", ["", "=", ";;;", f"{COOKIE}", f"{COOKIE}=", "x" * 9000])
def test_malformed_cookie_is_no_session(sent: str) -> None:
    sessions = Sessions(100.0, 3, lambda: 0.0)
    sessions.begin(b"a")
    assert sessions.find({b"cookie": sent.encode()}) is None
    assert sessions.find({}) is None
