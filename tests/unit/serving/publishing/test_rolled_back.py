"""A registry whose older copy was put back: nothing is signed that is based on it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from serving.publishing import repository
from serving.publishing.keys import Keys, KeysError
from serving.publishing.publication import Role
from serving.publishing.releases import RegistryError
from serving.publishing.seal_record import ForkedError, RolledBackError
from tests.kit.bundles.attacker import forge, stolen
from tests.kit.bundles.publishing import STREAM, bundle_file, split_keys
from tests.kit.wording import naming
from trainer.__main__ import main


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path, keys: Keys) -> Path:
    """A registry with two bundles of a stream."""
    repository.init(tmp_path / "registry", keys)
    for seq in (1, 2):
        repository.publish(tmp_path / "registry", bundle_file(tmp_path, seq), keys)
    return tmp_path / "registry"


def acts(folder: Path, keys: Keys) -> dict[str, Callable[[], object]]:
    return {
        "publish": lambda: repository.publish(folder, bundle_file(folder.parent, 3), keys),
        "revoke": lambda: repository.revoke(folder, STREAM, 1, keys),
        "refresh": lambda: repository.refresh(folder, keys),
        "rotate": lambda: repository.rotate(folder, "online", keys),
    }


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(folder, folder.parent / "copy"))


def put_back(copy: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def versions(folder: Path) -> dict[str, int]:
    """Versions of the documents that the timestamp leads to."""

    def signed(name: str) -> dict[str, dict[str, dict[str, int]]]:
        found: dict[str, dict[str, dict[str, int]]] = json.loads(
            (folder / "metadata" / f"{name}.json").read_bytes()
        )["signed"]
        return found

    timestamp = signed("timestamp")
    snapshot = timestamp["meta"]["snapshot.json"]["version"]
    targets = signed(f"{snapshot}.snapshot")["meta"]["targets.json"]["version"]
    return {"timestamp": int(str(timestamp["version"])), "snapshot": snapshot, "targets": targets}


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("act", ["publish", "revoke", "refresh", "rotate"])
def test_revocation_is_not_undone_by_an_older_copy_of_the_folder(
    folder: Path, keys: Keys, act: str
) -> None:
    before = copied(folder)
    repository.revoke(folder, STREAM, 2, keys)
    put_back(before, folder)
    old, remembered = tree(folder), tree(keys.folder)
    with pytest.raises(RolledBackError, match=naming("--accept-restored-registry")) as caught:
        acts(folder, keys)[act]()
    assert caught.value.code == "registry_rolled_back"
    assert (tree(folder), tree(keys.folder)) == (old, remembered)


def test_older_signatures_of_the_same_list_are_noticed(folder: Path, keys: Keys) -> None:
    before = copied(folder)
    repository.refresh(folder, keys)
    put_back(before, folder)
    with pytest.raises(RolledBackError, match=naming("snapshot")):
        repository.refresh(folder, keys)


def test_other_content_of_the_same_version_is_noticed(folder: Path, keys: Keys) -> None:
    """Two publications that began from one copy: the other one was signed with the same keys."""
    copy = copied(folder)
    other = split_keys(keys, folder.parent / "other", "targets", "online")
    repository.revoke(folder, STREAM, 2, keys)
    repository.refresh(copy, other)
    repository.revoke(copy, STREAM, 1, other)
    repository.refresh(folder, keys)
    put_back(copy, folder)
    with pytest.raises(ForkedError, match=naming("targets", "4")) as caught:
        repository.refresh(folder, keys)
    assert caught.value.code == "registry_forked"


def test_registry_without_its_newest_root_is_noticed(folder: Path, keys: Keys) -> None:
    repository.rotate(folder, "root", keys)
    (folder / "metadata" / "2.root.json").unlink()
    with pytest.raises(RolledBackError, match=naming("2.root.json")):
        repository.refresh(folder, keys)


@pytest.mark.parametrize("role", ["root", "targets", "online"])
def test_copy_from_before_a_rotation_is_noticed(folder: Path, keys: Keys, role: Role) -> None:
    before = copied(folder)
    repository.rotate(folder, role, keys)
    put_back(before, folder)
    with pytest.raises(RolledBackError, match=naming("2.root.json")):
        repository.refresh(folder, keys)


def test_document_that_is_missing_is_no_reason_for_a_new_registry(folder: Path, keys: Keys) -> None:
    (folder / "metadata" / "3.targets.json").unlink()
    with pytest.raises(RegistryError, match=naming("3.targets.json")) as caught:
        repository.refresh(folder, keys)
    assert "registry init" not in str(caught.value)
    with pytest.raises(RegistryError, match=naming("registry init")):
        repository.refresh(folder.parent / "typo", keys)


def test_list_that_was_exchanged_under_its_name_is_noticed(
    folder: Path, keys: Keys, tmp_path: Path
) -> None:
    """A list that a power cut left unpublished has a valid signature, too."""
    copy = copied(folder)
    repository.revoke(copy, STREAM, 1, split_keys(keys, tmp_path / "other", "targets", "online"))
    repository.revoke(folder, STREAM, 2, keys)
    shutil.copy(copy / "metadata" / "4.targets.json", folder / "metadata" / "4.targets.json")
    with pytest.raises(RegistryError, match=naming("4.targets.json")):
        repository.refresh(folder, keys)


def test_what_another_folder_of_keys_published_is_no_older_copy(
    folder: Path, keys: Keys, tmp_path: Path
) -> None:
    online = split_keys(keys, tmp_path / "online", "online")
    for seq in (3, 4):
        repository.refresh(folder, online)
        repository.publish(folder, bundle_file(tmp_path, seq), keys)
    assert [release.seq for release in repository.listing(folder)] == [1, 2, 3, 4]


def test_folder_that_has_only_seen_a_revocation_remembers_it(
    folder: Path, keys: Keys, tmp_path: Path
) -> None:
    before, online = copied(folder), split_keys(keys, tmp_path / "online", "online")
    repository.revoke(folder, STREAM, 2, keys)
    repository.refresh(folder, online)
    put_back(before, folder)
    with pytest.raises(RolledBackError, match=naming("targets")):
        repository.refresh(folder, online)


def test_power_cut_before_the_record_is_written_is_no_older_copy(folder: Path, keys: Keys) -> None:
    sealed = keys.sealed.read_bytes()
    repository.revoke(folder, STREAM, 1, keys)
    keys.sealed.write_bytes(sealed)
    repository.revoke(folder, STREAM, 2, keys)
    assert [release.revoked for release in repository.listing(folder)] == [True, True]


def test_rotation_that_was_cut_is_finished_by_a_refresh(folder: Path, keys: Keys) -> None:
    """The root was replaced, and the new online key has signed nothing yet."""
    before, sealed = copied(folder), keys.sealed.read_bytes()
    repository.rotate(folder, "online", keys)
    shutil.copy(folder / "metadata" / "2.root.json", before / "metadata" / "2.root.json")
    put_back(before, folder)
    keys.sealed.write_bytes(sealed)
    repository.refresh(folder, keys)
    repository.publish(folder, bundle_file(folder.parent, 3), keys)
    assert [release.seq for release in repository.listing(folder)] == [1, 2, 3]


@pytest.mark.parametrize("act", ["publish", "revoke", "refresh"])
def test_backup_that_was_put_back_on_purpose_is_signed_above_all_former_versions(
    folder: Path, keys: Keys, act: str
) -> None:
    before = copied(folder)
    repository.revoke(folder, STREAM, 2, keys)
    repository.refresh(folder, keys)
    newest = versions(folder)
    put_back(before, folder)
    acts(folder, replace(keys, accepts_restored=True))[act]()
    assert all(versions(folder)[role] > newest[role] for role in newest)
    repository.refresh(folder, keys)  # and it is the registry from now on


def test_command_names_the_code_and_the_way_out(
    folder: Path, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    before = copied(folder)
    repository.revoke(folder, STREAM, 2, keys)
    put_back(before, folder)
    command = ["registry", "refresh", str(folder), "--keys", str(keys.folder)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "[registry_rolled_back]" in said
    assert "--accept-restored-registry" in said
    assert main([*command, "--accept-restored-registry"]) == 0
    assert main(command) == 0


def test_damaged_record_is_not_forgotten(folder: Path, keys: Keys) -> None:
    keys.sealed.write_bytes(keys.sealed.read_bytes()[:-20])
    with pytest.raises(KeysError, match=naming("sealed.json")):
        repository.refresh(folder, keys)


def test_stranger_with_the_online_key_cannot_bring_back_an_older_list(
    folder: Path, keys: Keys
) -> None:
    before = copied(folder)
    repository.revoke(folder, STREAM, 2, keys)
    put_back(before, folder)
    forge(folder / "metadata", stolen(keys) | {"targets": stolen(keys)["timestamp"]}, skip=9)
    with pytest.raises(RegistryError, match=naming("targets")):
        repository.refresh(folder, keys)
