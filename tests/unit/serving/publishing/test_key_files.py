"""How private keys are kept, and what is written down of their use."""

import json
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from serving.publishing import repository
from serving.publishing.keys import Keys, KeysError
from serving.publishing.releases import RegistryError
from tests.kit.bundles.publishing import STREAM, bundle_file
from tests.kit.wording import names, naming
from trainer.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = b"correct horse"


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def keys(tmp_path: Path, passphrase: Path) -> Keys:
    return Keys(tmp_path / "keys", passphrase)


def test_locked_key_is_derived_by_600000_rounds_of_pbkdf2(keys: Keys) -> None:
    signer = keys.create("targets")
    (path,) = keys.folder.glob("*.pem")
    content = b64decode("".join(path.read_text().splitlines()[1:-1]))
    for part in (
        "2a864886f70d01050d",  # PBES2
        "2a864886f70d01050c",  # PBKDF2
        f"0203{600_000:06x}",  # an integer of three bytes
        "2a864886f70d0209",  # HMAC-SHA256
        "60864801650304012a",  # AES-256-CBC
    ):
        assert bytes.fromhex(part) in content
    assert isinstance(load_pem_private_key(path.read_bytes(), SECRET), Ed25519PrivateKey)
    assert list(keys.signers()) == [signer.public_key.keyid]


def test_key_of_an_earlier_release_is_read(keys: Keys) -> None:
    keys.folder.mkdir()
    private = Ed25519PrivateKey.generate()
    content = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET)
    )
    (keys.folder / "targets-1.pem").write_bytes(content)
    assert len(keys.signers()) == 1


def test_passphrase_that_is_missing_or_of_no_use_is_told(
    keys: Keys, passphrase: Path, tmp_path: Path
) -> None:
    keys.create("targets")
    with pytest.raises(KeysError, match=naming("locked", "--passphrase-file")):
        Keys(keys.folder).signers()
    Keys(tmp_path / "open").create("targets")
    with pytest.raises(KeysError, match=naming("has no passphrase")):
        Keys(tmp_path / "open", passphrase).signers()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_passphrase_that_others_may_read_is_refused(
    keys: Keys, passphrase: Path, mode: int
) -> None:
    passphrase.chmod(mode)
    with pytest.raises(KeysError, match=naming(str(passphrase), f"0{mode:o}", "chmod 600")):
        keys.create("targets")


def test_passphrase_among_the_credentials_of_systemd_may_have_a_mask(
    keys: Keys, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passphrase.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(passphrase.parent))
    keys.create("targets")
    assert keys.signers()


def test_commands_warn_of_keys_without_a_passphrase(
    tmp_path: Path, passphrase: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, keys = str(tmp_path / "registry"), tmp_path / "open"
    assert main(["registry", "init", registry, "--keys", str(keys)]) == 0
    held = sorted(path.name for path in keys.glob("*.pem"))
    assert names(capsys.readouterr().err, *held)
    next(keys.glob("online-*")).chmod(0o644)
    assert main(["registry", "refresh", registry, "--keys", str(keys)]) == 0
    assert names(capsys.readouterr().err, *held, "chmod 600")
    locked = ["--keys", str(tmp_path / "locked"), "--passphrase-file", str(passphrase)]
    assert main(["registry", "init", str(tmp_path / "second"), *locked]) == 0
    assert capsys.readouterr().err == ""


def audit(keys: Keys) -> list[dict[str, object]]:
    return [json.loads(line) for line in keys.audit.read_text().splitlines()]


def test_each_act_leaves_a_line(tmp_path: Path) -> None:
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys")
    repository.init(folder, keys)
    release = repository.publish(folder, bundle_file(tmp_path, 3), keys, floor_seq=2)
    repository.revoke(folder, STREAM, 3, keys)
    repository.rotate(folder, "online", keys)
    repository.refresh(folder, keys)
    init, publish, revoke, rotate, refresh = audit(keys)
    assert [one["act"] for one in (init, publish, revoke, rotate, refresh)] == [
        "init",
        "publish",
        "revoke",
        "rotate",
        "refresh",
    ]
    assert {"at", "user", "host", "millhand"} <= publish.keys()
    assert publish["registry"] == str(folder)
    assert (publish["stream"], publish["seq"], publish["sha256"]) == (STREAM, 3, release.sha256)
    assert (publish["floor_seq"], publish["revoked"], revoke["revoked"]) == (2, False, True)
    assert rotate["role"] == "online"
    assert refresh["versions_before"] == {"root": 2, "targets": 3, "snapshot": 4, "timestamp": 4}
    assert keys.audit.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("act", ["publish", "revoke", "refresh", "rotate"])
def test_act_that_cannot_be_written_down_does_not_happen(tmp_path: Path, act: str) -> None:
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys")
    repository.init(folder, keys)
    repository.publish(folder, bundle_file(tmp_path, 1), keys)
    keys.audit.unlink()
    keys.audit.mkdir()
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    acts: dict[str, Callable[[], object]] = {
        "publish": lambda: repository.publish(folder, bundle_file(tmp_path, 2), keys),
        "revoke": lambda: repository.revoke(folder, STREAM, 1, keys),
        "refresh": lambda: repository.refresh(folder, keys),
        "rotate": lambda: repository.rotate(folder, "online", keys),
    }
    with pytest.raises(RegistryError, match=naming("audit.jsonl")):
        acts[act]()
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def test_refused_act_leaves_no_line(tmp_path: Path) -> None:
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys")
    repository.init(folder, keys)
    with pytest.raises(RegistryError):
        repository.revoke(folder, STREAM, 1, keys)
    assert [line["act"] for line in audit(keys)] == ["init"]
