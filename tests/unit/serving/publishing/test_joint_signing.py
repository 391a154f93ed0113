"""Several people who must agree, each with a key in a place of his own."""

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from serving.publishing import joint_signing, repository
from serving.publishing.keys import Keys, KeysError
from serving.publishing.proposal import Proposal
from serving.publishing.releases import RegistryError, Validity
from serving.publishing.root_chain import trusted_root
from tests.kit.bundles.attacker import forge, stolen
from tests.kit.bundles.publishing import STREAM, bundle_file, split_keys
from tests.kit.wording import names, naming
from trainer.__main__ import main


class Places(NamedTuple):
    """A registry, and the folders of keys of three people and of a server."""

    folder: Path
    people: list[Keys]
    server: Keys


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Two of three must sign a list of bundles, and a root; a server has the online key."""
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys")
    repository.init(
        folder, keys, root_keys=3, root_threshold=2, targets_keys=3, targets_threshold=2
    )
    held = [
        (root.stem, targets.stem)
        for root, targets in zip(
            sorted(keys.folder.glob("root-*")), sorted(keys.folder.glob("targets-*")), strict=True
        )
    ]
    people = [
        split_keys(keys, tmp_path / f"person-{number}", *own) for number, own in enumerate(held)
    ]
    server = split_keys(keys, tmp_path / "server", "online")
    shutil.rmtree(keys.folder)
    return Places(folder, people, server)


def sign(places: Places, keys: Keys) -> Proposal:
    return joint_signing.sign(places.folder, joint_signing.waiting(places.folder, keys), keys)


def seqs(folder: Path) -> list[int]:
    return [release.seq for release in repository.listing(folder)]


def test_bundle_is_published_by_two_of_three_one_after_the_other(
    places: Places, tmp_path: Path
) -> None:
    one, two, _ = places.people
    release = repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    assert release.missing == 1
    assert seqs(places.folder) == []
    signed = sign(places, two)
    assert (signed.missing, signed.is_published) == (0, False)
    assert seqs(places.folder) == []
    assert sign(places, places.server).is_published
    assert seqs(places.folder) == [1]
    assert not (places.folder / "pending.json").exists()
    repository.refresh(places.folder, places.server)


def test_signer_with_the_online_key_publishes_at_once(places: Places, tmp_path: Path) -> None:
    one, two, _ = places.people
    repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    shutil.copy(next(places.server.folder.glob("online-*")), two.folder)
    assert sign(places, two).is_published
    repository.revoke(places.folder, STREAM, 1, two)
    shutil.copy(next(places.server.folder.glob("online-*")), one.folder)
    assert sign(places, one).is_published
    assert repository.listing(places.folder)[0].revoked


def test_signature_of_one_does_not_count_twice(places: Places, tmp_path: Path) -> None:
    one = places.people[0]
    repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    assert sign(places, one).missing == 1
    assert not sign(places, places.server).is_published
    assert seqs(places.folder) == []


def test_signer_sees_what_would_change(places: Places, tmp_path: Path) -> None:
    one, two, three = places.people
    repository.publish(places.folder, bundle_file(tmp_path, 4), one)
    found = joint_signing.waiting(places.folder, two)
    assert any(names(change, "added", f"{STREAM}#4") for change in found.changes)
    sign(places, two)
    sign(places, places.server)
    repository.revoke(places.folder, STREAM, 4, three)
    found = joint_signing.waiting(places.folder, two)
    assert any(names(change, "changed", f"{STREAM}#4", "revoked") for change in found.changes)


def test_proposal_that_was_exchanged_after_it_was_shown_is_not_signed(
    places: Places, tmp_path: Path
) -> None:
    one, two, _ = places.people
    repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    seen = joint_signing.waiting(places.folder, two)
    joint_signing.discard(places.folder, one)
    repository.publish(places.folder, bundle_file(tmp_path, 2), one)
    with pytest.raises(RegistryError, match=naming("nothing was signed")):
        joint_signing.sign(places.folder, seen, two)


def test_proposal_of_a_stranger_is_refused(places: Places, tmp_path: Path) -> None:
    strangers = Keys(tmp_path / "stranger-keys")
    repository.init(tmp_path / "stranger", strangers)
    forge(tmp_path / "stranger" / "metadata", stolen(strangers))
    shutil.copy(
        tmp_path / "stranger" / "metadata" / "2.targets.json", places.folder / "pending.json"
    )
    with pytest.raises(RegistryError, match=naming("nobody", "--discard")):
        joint_signing.waiting(places.folder, places.people[0])
    joint_signing.discard(places.folder, places.people[0])
    repository.publish(places.folder, bundle_file(tmp_path, 1), places.people[0])


@pytest.mark.parametrize(
    ("key", "value"), [("version", 2.0), ("x", 0.5), ("roles", {}), ("targets", []), ("expires", 1)]
)
def test_proposal_that_is_damaged_is_an_error(
    places: Places, tmp_path: Path, key: str, value: object
) -> None:
    one, two, _ = places.people
    repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    path = places.folder / "pending.json"
    fields = json.loads(path.read_bytes())
    fields["signed"][key] = value
    path.write_text(json.dumps(fields))
    with pytest.raises(RegistryError, match=naming("pending.json")):
        joint_signing.waiting(places.folder, two)


def test_second_change_waits_until_the_first_is_signed_or_removed(
    places: Places, tmp_path: Path
) -> None:
    one, two, _ = places.people
    repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    with pytest.raises(RegistryError, match=naming("registry sign", "--discard")):
        repository.publish(places.folder, bundle_file(tmp_path, 2), two)


def test_proposal_that_another_change_has_overtaken_waits_no_more(
    places: Places, tmp_path: Path
) -> None:
    one, two, _ = places.people
    repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    overtaken = (places.folder / "pending.json").read_bytes()
    sign(places, two)
    sign(places, places.server)
    (places.folder / "pending.json").write_bytes(overtaken)
    with pytest.raises(RegistryError, match=naming("nothing waits")):
        joint_signing.waiting(places.folder, two)


def test_folder_without_a_key_that_counts_cannot_sign(places: Places, tmp_path: Path) -> None:
    one, two, _ = places.people
    repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    only_root = split_keys(two, tmp_path / "root-only", "root")
    with pytest.raises(KeysError, match=naming("targets")):
        sign(places, only_root)


def test_online_key_is_replaced_by_two_holders_of_root_keys(places: Places, tmp_path: Path) -> None:
    one, two, _ = places.people
    former = split_keys(places.server, tmp_path / "former", "online")
    assert repository.rotate(places.folder, "online", one) is None
    assert trusted_root(one).version == 1
    signed = sign(places, two)  # who lacks the new online key
    assert (signed.missing, signed.is_published) == (0, False)
    repository.refresh(places.folder, former)  # the old key signs until then
    assert sign(places, one).is_published
    assert trusted_root(one).version == 2
    repository.refresh(places.folder, one)
    with pytest.raises(KeysError, match=naming("online")):
        repository.refresh(places.folder, former)
    assert trusted_root(former).version == 2  # it has learned of the rotation by itself


def test_root_keys_are_replaced_by_two_of_their_holders(places: Places) -> None:
    one, two, three = places.people
    assert repository.rotate(places.folder, "root", one) is None
    assert sign(places, two).is_published
    assert trusted_root(two).version == 2
    with pytest.raises(KeysError, match=naming("root")):
        repository.rotate(places.folder, "online", three)


def test_list_that_is_due_is_proposed_by_a_refresh(places: Places) -> None:
    one, two, _ = places.people
    long = Validity(targets=timedelta(days=3650))  # a third of it is left now
    assert repository.refresh(places.folder, one, validity=long).missing == 1
    sign(places, two)
    assert sign(places, places.server).is_published
    repository.refresh(places.folder, places.server)
    with pytest.raises(KeysError, match=naming("online")):
        repository.refresh(places.folder, one)


def test_root_that_is_due_is_proposed_by_a_refresh(places: Places) -> None:
    one, two, _ = places.people
    long = Validity(root=timedelta(days=3650))
    assert repository.refresh(places.folder, one, validity=long).missing == 1
    assert sign(places, two).is_published
    assert trusted_root(two).version == 2
    repository.refresh(places.folder, places.server)
    assert trusted_root(places.server).version == 2


def test_one_threshold_of_two_keeps_one_person_from_changing_anything(
    places: Places, tmp_path: Path
) -> None:
    one = places.people[0]
    shutil.copy(next(places.server.folder.glob("online-*")), one.folder)
    timestamp = (places.folder / "metadata" / "timestamp.json").read_bytes()
    repository.publish(places.folder, bundle_file(tmp_path, 1), one)
    assert not sign(places, one).is_published
    assert (places.folder / "metadata" / "timestamp.json").read_bytes() == timestamp


def test_commands_lead_through_two_signatures(
    places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, _ = places.people
    registry, bundle = str(places.folder), str(bundle_file(tmp_path, 1))
    assert main(["publish", bundle, "--registry", registry, "--keys", str(one.folder)]) == 0
    told = capsys.readouterr()
    assert names(told.out, "signed", f"{STREAM}#1")
    assert names(told.err, "1", "registry sign")
    command = ["registry", "sign", registry, "--keys", str(two.folder)]
    assert main(command) == 2  # nobody can be asked here
    assert names(capsys.readouterr().err, "--yes")
    assert main([*command, "--yes"]) == 0
    assert names(capsys.readouterr().out, "added", f"{STREAM}#1")
    assert main(["registry", "sign", registry, "--keys", str(places.server.folder), "--yes"]) == 0
    assert "published" in capsys.readouterr().out
    assert seqs(places.folder) == [1]
    acts = [json.loads(line)["act"] for line in two.audit.read_text().splitlines()]
    assert acts == ["sign"]
