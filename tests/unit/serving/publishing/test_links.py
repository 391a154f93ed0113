"""A writer of the store who puts symbolic links there: no other file is changed by them."""

from pathlib import Path

import pytest

from serving.publishing import repository
from serving.publishing.keys import Keys, KeysError
from serving.publishing.releases import RegistryError
from tests.kit.bundles.publishing import STREAM, bundle_file
from tests.kit.wording import naming


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path, keys: Keys) -> Path:
    repository.init(tmp_path / "registry", keys)
    return tmp_path / "registry"


def key_files(keys: Keys) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in keys.folder.glob("*.pem")}


def test_lock_that_is_a_link_to_a_key_leaves_the_key_as_it_is(folder: Path, keys: Keys) -> None:
    before = key_files(keys)
    (folder / ".lock").symlink_to(next(keys.folder.glob("root-*.pem")))
    repository.publish(folder, bundle_file(folder.parent, 1), keys)
    assert key_files(keys) == before


def test_nothing_is_opened_for_writing_that_gateways_do_not_read(folder: Path, keys: Keys) -> None:
    repository.publish(folder, bundle_file(folder.parent, 1), keys)
    assert {path.name for path in folder.iterdir()} == {"metadata", "targets"}


@pytest.mark.parametrize("name", [".lock", "audit.jsonl"])
def test_link_beside_the_keys_is_refused(folder: Path, keys: Keys, name: str) -> None:
    before, victim = key_files(keys), next(keys.folder.glob("root-*.pem"))
    (keys.folder / name).unlink()
    (keys.folder / name).symlink_to(victim)
    with pytest.raises((KeysError, RegistryError), match=naming(name)):
        repository.refresh(folder, keys)
    assert key_files(keys) == before


@pytest.mark.parametrize("name", ["timestamp.json", "2.targets.json", "2.snapshot.json"])
def test_document_that_is_a_link_is_replaced_and_not_followed(
    folder: Path, keys: Keys, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes((folder / "metadata" / "timestamp.json").read_bytes())
    before = victim.read_bytes()
    (folder / "metadata" / name).unlink(missing_ok=True)
    (folder / "metadata" / name).symlink_to(victim)
    repository.publish(folder, bundle_file(tmp_path, 1), keys)
    assert victim.read_bytes() == before
    assert not (folder / "metadata" / name).is_symlink()


@pytest.mark.parametrize(
    "link", ["metadata", "targets", "targets/bundles", f"targets/bundles/{STREAM}"]
)
def test_folder_that_is_a_link_is_refused(
    folder: Path, keys: Keys, tmp_path: Path, link: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if link == "metadata":
        (folder / "metadata").rename(elsewhere)
    else:
        elsewhere.mkdir()
    (folder / link).parent.mkdir(parents=True, exist_ok=True)
    (folder / link).symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(RegistryError, match=naming("symbolic link", link.rpartition("/")[2])):
        repository.publish(folder, bundle_file(tmp_path, 1), keys)
    assert sorted(elsewhere.rglob("*")) == before


def test_proposal_that_is_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys")
    repository.init(folder, keys, targets_keys=2, targets_threshold=2)
    next(keys.folder.glob("targets-*.pem")).unlink()
    (folder / "pending.json").symlink_to(tmp_path / "victim")
    assert repository.publish(folder, bundle_file(tmp_path, 1), keys).missing == 1
    assert not (tmp_path / "victim").exists()
