"""The publisher's side: what is written, in which order, and what is refused to be signed."""

import fcntl
import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from models.errors import BundleError, MillhandError
from serving.publishing import repository
from serving.publishing.keys import Keys, KeysError
from serving.publishing.publication import KEPT_VERSIONS, Role
from serving.publishing.releases import RegistryError, Release, Validity
from serving.publishing.root_chain import trusted_root
from tests.kit.bundles.attacker import forge, stolen
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.wording import naming

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM = "pump-health"
SOON = timedelta(days=1)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path, keys: Keys) -> Path:
    repository.init(tmp_path / "registry", keys)
    return tmp_path / "registry"


def bundle(folder: Path, seq: int, stream: str = STREAM) -> Path:
    path = folder.parent / f"{stream}-{seq}.zip"
    path.write_bytes(make_bundle(make_manifest(stream=stream, seq=seq)).content)
    return path


def publish(folder: Path, keys: Keys, seq: int, floor_seq: int | None = None) -> Release:
    return repository.publish(folder, bundle(folder, seq), keys, floor_seq=floor_seq)


def signed(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())["signed"]
    return content


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, to see that nothing changed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def split(keys: Keys, folder: Path, *roles: str) -> Keys:
    """A folder with the keys of some roles only, and the root."""
    folder.mkdir()
    shutil.copy(keys.root, folder)
    for role in roles:
        for path in keys.folder.glob(f"{role}-*.pem"):
            shutil.copy(path, folder)
    return Keys(folder)


# --- init ---------------------------------------------------------------------------------------


def test_new_registry_is_empty_and_complete(folder: Path) -> None:
    assert sorted(tree(folder)) == [
        "metadata/1.root.json",
        "metadata/1.snapshot.json",
        "metadata/1.targets.json",
        "metadata/timestamp.json",
    ]
    assert repository.listing(folder) == ()


def test_trusted_root_is_the_registrys_first_root(tmp_path: Path, keys: Keys) -> None:
    trusted = repository.init(tmp_path / "registry", keys)
    content = (tmp_path / "registry" / "metadata" / "1.root.json").read_bytes()
    assert trusted.path == keys.folder / "root.json"
    assert trusted.path.read_bytes() == content
    assert (trusted.sha256, trusted.version) == (sha256(content).hexdigest(), 1)


def test_keys_are_readable_by_their_owner_only(folder: Path, keys: Keys) -> None:
    assert folder.exists()
    files = sorted(keys.folder.glob("*.pem"))
    assert [path.name.split("-")[0] for path in files] == ["online", "root", "targets"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert keys.folder.stat().st_mode & 0o777 == 0o700
    assert all(b"BEGIN PRIVATE KEY" in path.read_bytes() for path in files)


def test_private_keys_never_enter_the_registry(folder: Path) -> None:
    assert not any(b"PRIVATE" in content for content in tree(folder).values())


def test_signatures_end_when_they_are_said_to(folder: Path) -> None:
    for name, days in (("1.root", 365), ("1.targets", 90), ("1.snapshot", 7), ("timestamp", 7)):
        expires = datetime.fromisoformat(signed(folder / "metadata" / f"{name}.json")["expires"])
        left = expires - datetime.now(UTC)
        assert timedelta(days=days, minutes=-5) < left <= timedelta(days=days)


def test_existing_registry_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    before = tree(folder)
    with pytest.raises(RegistryError, match="registry already"):
        repository.init(folder, Keys(tmp_path / "other"))
    assert tree(folder) == before
    assert not (tmp_path / "other").exists()


def test_existing_keys_are_left_as_they_are(folder: Path, keys: Keys, tmp_path: Path) -> None:
    assert folder.exists()
    before = tree(keys.folder)
    with pytest.raises(KeysError, match="keys already"):
        repository.init(tmp_path / "second", keys)
    assert tree(keys.folder) == before


@pytest.mark.parametrize("threshold", [0, 4])
def test_root_threshold_out_of_bounds_is_refused(
    tmp_path: Path, keys: Keys, threshold: int
) -> None:
    with pytest.raises(RegistryError, match=naming("1 to 3")):
        repository.init(tmp_path / "registry", keys, root_keys=3, root_threshold=threshold)


def test_folder_that_cannot_be_written_is_told(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RegistryError, match=r"file.*: (Not a directory|File exists)"):
        repository.init(tmp_path / "file", keys)
    with pytest.raises(KeysError, match="written"):
        repository.init(tmp_path / "registry", Keys(tmp_path / "file" / "keys"))


# --- publish ------------------------------------------------------------------------------------


def test_published_bundle_is_there_and_signed(folder: Path, keys: Keys) -> None:
    release = publish(folder, keys, 3, floor_seq=2)
    content = (folder / "targets" / release.path).read_bytes()
    assert release.path == f"bundles/{STREAM}/3/{sha256(content).hexdigest()}.zip"
    assert signed(folder / "metadata" / "2.targets.json")["targets"] == {
        release.path: {
            "length": len(content),
            "hashes": {"sha256": release.sha256},
            "custom": {"stream": STREAM, "seq": 3, "floor_seq": 2, "revoked": False},
        }
    }
    assert repository.listing(folder) == (release,)


def test_listing_is_ordered_by_stream_and_seq(folder: Path, keys: Keys) -> None:
    for stream, seq in (("b", 9), ("b", 10), ("a", 11)):
        repository.publish(folder, bundle(folder, seq, stream), keys)
    found = [(release.stream, release.seq) for release in repository.listing(folder)]
    assert found == [("a", 11), ("b", 9), ("b", 10)]


@pytest.mark.parametrize("seq", [4, 5])
def test_seq_that_is_not_above_the_highest_is_refused(folder: Path, keys: Keys, seq: int) -> None:
    publish(folder, keys, 5)
    before = tree(folder)
    with pytest.raises(RegistryError, match=naming("5", "--seq 6")):
        publish(folder, keys, seq)
    assert tree(folder) == before


def test_revoked_seq_is_not_used_again(folder: Path, keys: Keys) -> None:
    publish(folder, keys, 5)
    repository.revoke(folder, STREAM, 5, keys)
    with pytest.raises(RegistryError, match="--seq 6"):
        publish(folder, keys, 5)


@pytest.mark.parametrize("floor", [-1, 4])
def test_floor_out_of_bounds_is_refused(folder: Path, keys: Keys, floor: int) -> None:
    with pytest.raises(RegistryError, match=naming("0", "3")):
        publish(folder, keys, 3, floor_seq=floor)


def test_unsound_bundle_is_not_signed(folder: Path, keys: Keys) -> None:
    path = bundle(folder, 1)
    path.write_bytes(path.read_bytes()[:-10])
    before = tree(folder)
    with pytest.raises(BundleError):
        repository.publish(folder, path, keys)
    assert tree(folder) == before


def test_missing_bundle_is_told(folder: Path, keys: Keys) -> None:
    with pytest.raises(RegistryError, match=naming("nothing.zip")):
        repository.publish(folder, folder / "nothing.zip", keys)


def test_missing_registry_is_told(tmp_path: Path, folder: Path, keys: Keys) -> None:
    with pytest.raises(RegistryError, match=naming("registry init")):
        repository.publish(tmp_path / "elsewhere", bundle(folder, 1), keys)
    with pytest.raises(RegistryError, match=naming("timestamp.json")):
        repository.listing(tmp_path / "elsewhere")


def test_parallel_publications_all_arrive(folder: Path, keys: Keys) -> None:
    streams = [f"stream-{number}" for number in range(6)]
    threads = [
        threading.Thread(target=repository.publish, args=(folder, bundle(folder, 1, stream), keys))
        for stream in streams
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [release.stream for release in repository.listing(folder)] == streams
    assert signed(folder / "metadata" / "timestamp.json")["version"] == 7


def test_registry_that_stays_locked_is_told(
    folder: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.publishing.keys._LOCK_WAIT_S", 0.1)
    with (keys.folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(KeysError, match="another process"):
            publish(folder, keys, 1)


def test_publication_cut_before_the_timestamp_is_not_seen_and_is_overwritten(
    folder: Path, keys: Keys
) -> None:
    timestamp = (folder / "metadata" / "timestamp.json").read_bytes()
    sealed = keys.sealed.read_bytes()
    publish(folder, keys, 1)
    (folder / "metadata" / "timestamp.json").write_bytes(timestamp)  # as before the last write
    keys.sealed.write_bytes(sealed)  # which is followed by that of the record
    assert repository.listing(folder) == ()
    publish(folder, keys, 2)
    assert [release.seq for release in repository.listing(folder)] == [2]


def test_old_versions_of_the_list_are_removed(folder: Path, keys: Keys) -> None:
    (folder / "metadata" / "old.targets.json").write_bytes(b"somebody's copy")
    for seq in range(1, KEPT_VERSIONS + 4):
        publish(folder, keys, seq)
    names = {path.name for path in (folder / "metadata").iterdir()}
    assert "old.targets.json" in names
    assert "4.targets.json" not in names
    assert len([name for name in names if name.endswith(".snapshot.json")]) == KEPT_VERSIONS


# --- keys ---------------------------------------------------------------------------------------


def test_publishing_needs_no_root_key(folder: Path, keys: Keys, tmp_path: Path) -> None:
    publisher = split(keys, tmp_path / "publisher", "targets", "online")
    assert publish(folder, publisher, 1).seq == 1


@pytest.mark.parametrize(("held", "lacking"), [(["online"], "targets"), (["targets"], "online")])
def test_missing_key_is_named_before_anything_is_written(
    folder: Path, keys: Keys, tmp_path: Path, held: list[str], lacking: str
) -> None:
    before = tree(folder)
    name = next(keys.folder.glob(f"{lacking}-*.pem")).name
    with pytest.raises(KeysError, match=naming(f"{lacking}", name)):
        publish(folder, split(keys, tmp_path / "some", *held), 1)
    assert tree(folder) == before


def test_missing_root_is_told(folder: Path, keys: Keys) -> None:
    keys.root.unlink()
    with pytest.raises(RegistryError, match=naming("keys/root.json")):
        publish(folder, keys, 1)


def test_folder_of_keys_that_is_not_there_is_told_and_not_made(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeysError, match=naming("elsewhere")):
        publish(folder, Keys(tmp_path / "elsewhere"), 1)
    assert not (tmp_path / "elsewhere").exists()


def test_passphrase_locks_the_keys(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse\nsecond line\n")
    (tmp_path / "wrong").write_text("battery staple\n")
    (tmp_path / "empty").write_text("\n")
    for name in ("passphrase", "wrong", "empty"):
        (tmp_path / name).chmod(0o600)
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys", tmp_path / "passphrase")
    repository.init(folder, keys)
    assert publish(folder, keys, 1).seq == 1
    for passphrase, message in (
        ("wrong", "passphrase"),
        ("empty", "empty"),
        ("nothing", "nothing"),
        (None, "passphrase"),
    ):
        path = None if passphrase is None else tmp_path / passphrase
        with pytest.raises(KeysError, match=message):
            publish(folder, Keys(keys.folder, path), 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no key", "PEM"),
        (None, ""),
        ("elliptic curve", "allowed is Ed25519"),
    ],
)
def test_file_that_is_no_key_is_named(
    folder: Path, keys: Keys, content: bytes | str | None, message: str
) -> None:
    path = keys.folder / "extra.pem"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(_ec_key() if isinstance(content, str) else content)
    with pytest.raises(KeysError, match=f"extra.pem.*{message}"):
        publish(folder, keys, 1)


def _ec_key() -> bytes:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


# --- revoke, refresh, rotate --------------------------------------------------------------------


def test_revoked_bundle_stays_listed_and_on_disk(folder: Path, keys: Keys) -> None:
    publish(folder, keys, 1)
    release = repository.revoke(folder, STREAM, 1, keys)
    assert release.revoked
    assert repository.listing(folder) == (release,)
    assert (folder / "targets" / release.path).exists()


def test_unknown_bundle_cannot_be_revoked(folder: Path, keys: Keys) -> None:
    publish(folder, keys, 1)
    with pytest.raises(RegistryError, match=naming("2", "1")):
        repository.revoke(folder, STREAM, 2, keys)
    with pytest.raises(RegistryError, match=naming("1", "none")):
        repository.revoke(folder, "other", 1, keys)


def test_refresh_needs_the_online_key_only(folder: Path, keys: Keys, tmp_path: Path) -> None:
    before = tree(folder)
    status = repository.refresh(folder, split(keys, tmp_path / "online", "online"))
    assert status.warnings == ()
    changed = {name for name, content in tree(folder).items() if before.get(name) != content}
    assert changed == {"metadata/2.snapshot.json", "metadata/timestamp.json"}


def test_refresh_warns_of_what_it_cannot_sign(tmp_path: Path, keys: Keys) -> None:
    folder = tmp_path / "registry"
    repository.init(folder, keys, validity=Validity(root=SOON, targets=SOON))
    standing = repository.refresh(folder, split(keys, tmp_path / "online", "online"))
    assert [warning.split()[0] for warning in standing.warnings] == ["root", "targets"]
    assert "targets key" in standing.warnings[1]
    assert standing.expires["targets"] - datetime.now(UTC) < SOON


def test_refresh_signs_what_is_due_where_the_keys_are_held(tmp_path: Path, keys: Keys) -> None:
    folder = tmp_path / "registry"
    repository.init(folder, keys, validity=Validity(root=SOON, targets=SOON))
    status = repository.refresh(folder, keys)
    assert status.warnings == ()
    assert trusted_root(keys).version == 2
    assert keys.root.read_bytes() == (folder / "metadata" / "2.root.json").read_bytes()
    assert signed(folder / "metadata" / "2.targets.json")["version"] == 2


@pytest.mark.parametrize("role", get_args(Role))
def test_rotated_key_signs_nothing_any_more(
    folder: Path, keys: Keys, tmp_path: Path, role: Role
) -> None:
    former = split(keys, tmp_path / "former", *get_args(Role))
    assert repository.rotate(folder, role, keys) == trusted_root(keys)
    assert trusted_root(keys).version == 2
    assert publish(folder, keys, 1).seq == 1
    shutil.copy(keys.root, former.root)
    with pytest.raises(KeysError, match=f"lacks the {role} key"):
        repository.rotate(folder, role, former) if role == "root" else publish(folder, former, 2)


def test_new_root_is_signed_by_the_old_keys_and_the_new(tmp_path: Path, keys: Keys) -> None:
    folder = tmp_path / "registry"
    repository.init(folder, keys, root_keys=3, root_threshold=2)
    old = set(signed(keys.root)["roles"]["root"]["keyids"])
    next(keys.folder.glob("root-*.pem")).unlink()  # two of three do
    repository.rotate(folder, "root", keys)
    new = signed(keys.root)["roles"]["root"]
    signatures = {s["keyid"] for s in json.loads(keys.root.read_bytes())["signatures"]}
    assert (len(new["keyids"]), new["threshold"]) == (3, 2)
    assert not old & set(new["keyids"])
    assert signatures >= set(new["keyids"])
    assert len(signatures & old) == 2


def test_rotation_needs_a_root_key(folder: Path, keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="root-"):
        repository.rotate(folder, "online", split(keys, tmp_path / "some", "targets", "online"))


# --- a registry that somebody else can write ----------------------------------------------------


@pytest.mark.parametrize("act", ["publish", "revoke", "refresh", "rotate"])
def test_forged_list_is_never_signed_anew(
    folder: Path, keys: Keys, tmp_path: Path, act: str
) -> None:
    publish(folder, keys, 1)
    strangers = Keys(tmp_path / "stranger-keys")
    repository.init(tmp_path / "stranger", strangers)
    forge(folder / "metadata", stolen(keys) | {"targets": stolen(strangers)["targets"]})
    acts: dict[str, Callable[[], object]] = {
        "publish": lambda: publish(folder, keys, 2),
        "revoke": lambda: repository.revoke(folder, STREAM, 1, keys),
        "refresh": lambda: repository.refresh(folder, keys),
        "rotate": lambda: repository.rotate(folder, "targets", keys),
    }
    before = tree(folder), tree(keys.folder)
    with pytest.raises(RegistryError, match=naming("targets", "3")):
        acts[act]()
    assert (tree(folder), tree(keys.folder)) == before


def test_root_in_the_registry_is_not_believed(folder: Path, keys: Keys, tmp_path: Path) -> None:
    repository.init(tmp_path / "stranger", Keys(tmp_path / "stranger-keys"))
    shutil.copytree(tmp_path / "stranger" / "metadata", folder / "metadata", dirs_exist_ok=True)
    with pytest.raises(RegistryError, match="signed"):
        publish(folder, keys, 1)


def test_newer_root_of_a_stranger_is_not_followed(folder: Path, keys: Keys, tmp_path: Path) -> None:
    strangers, before = Keys(tmp_path / "stranger-keys"), keys.root.read_bytes()
    repository.init(tmp_path / "stranger", strangers)
    repository.rotate(tmp_path / "stranger", "root", strangers)
    shutil.copytree(tmp_path / "stranger" / "metadata", folder / "metadata", dirs_exist_ok=True)
    with pytest.raises(RegistryError, match=naming("root", "2")):
        publish(folder, keys, 1)
    assert keys.root.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", b"no json"])
@pytest.mark.parametrize("name", ["timestamp", "1.snapshot", "1.targets"])
def test_damaged_metadata_is_told(folder: Path, keys: Keys, name: str, content: bytes) -> None:
    (folder / "metadata" / f"{name}.json").write_bytes(content)
    for act in (lambda: publish(folder, keys, 1), lambda: repository.listing(folder)):
        with pytest.raises(RegistryError, match=naming(f"{name}.json")):
            act()


def test_metadata_of_another_version_or_role_is_told(folder: Path, keys: Keys) -> None:
    publish(folder, keys, 1)
    metadata = folder / "metadata"
    shutil.copy(metadata / "1.targets.json", metadata / "2.targets.json")
    with pytest.raises(MillhandError, match=r"2\.targets\.json holds version 1"):
        publish(folder, keys, 2)
    shutil.copy(metadata / "1.snapshot.json", metadata / "2.targets.json")
    with pytest.raises(MillhandError, match=naming("snapshot", "targets")):
        publish(folder, keys, 2)
