"""A registry with a list of bundles for each stream: how it comes about, what is never signed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from models.bundle.stream_list import role_of
from models.errors import MillhandError
from serving.publishing import joint_signing, repository
from serving.publishing.change import changing, for_targets, sign_targets
from serving.publishing.delegation import BY_STREAM
from serving.publishing.documents import prune
from serving.publishing.keys import Keys
from serving.publishing.releases import (
    DEFAULT_VALIDITY,
    RegistryError,
    Release,
    Validity,
    read_release,
)
from serving.publishing.rollouts import publish_plan, read_rollouts, write_stage
from serving.publishing.seal_record import ForkedError, RolledBackError
from serving.registry.catalogue import Here
from serving.registry.fetch import Fetcher
from serving.registry.trust import TrustedRegistry, exclusive
from tests.kit.bundles.attacker import stolen
from tests.kit.bundles.forgery import forging
from tests.kit.bundles.publishing import (
    STREAM,
    bundle_file,
    make_plan,
    make_stage,
    split_keys,
)
from tests.kit.wording import names, naming
from trainer.__main__ import main

OTHER = "fans-health"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with two bundles of each of two streams, which have lists of their own."""
    folder = tmp_path_factory.mktemp("template")
    keys = Keys(folder / "keys")
    repository.init(folder / "registry", keys, by_stream=True)
    for stream in (STREAM, OTHER):
        for seq in (1, 2):
            repository.publish(folder / "registry", bundle_file(folder, seq, stream), keys)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path / "registry"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def pulled(folder: Path, stream: str = STREAM, seq: int | None = None) -> int | str:
    """The seq that a gateway selects, or the code of its refusal; it remembers what it has seen."""
    state = folder.parent / "state"
    root = folder.parent / "installed.json"
    if not root.exists():
        shutil.copy(folder.parent / "keys" / "root.json", root)
    with exclusive(state), Fetcher() as fetcher:
        here = Here(1 << 20)
        trusted = TrustedRegistry(folder.as_uri(), root, state, fetcher=fetcher, here=here)
        try:
            trusted.refresh()
            return trusted.select(stream, seq).ref.seq
        except MillhandError as exc:
            return exc.code


def newest(folder: Path, role: str) -> Path:
    found = (folder / "metadata").glob(f"*.{role}.json")
    return max(found, key=lambda path: int(path.name.partition(".")[0]))


def listed(folder: Path) -> list[tuple[str, int, int, bool]]:
    found = repository.listing(folder)
    return [(one.stream, one.seq, one.floor_seq, one.revoked) for one in found]


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(folder, folder.parent / "copy"))


def put_back(copy: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def test_change_of_a_stream_changes_its_list_alone(folder: Path, keys: Keys) -> None:
    before = {role: newest(folder, role) for role in ("targets", role_of(OTHER))}
    mine = newest(folder, role_of(STREAM))
    repository.publish(folder, bundle_file(folder.parent, 3), keys, floor_seq=2)
    repository.revoke(folder, STREAM, 3, keys)
    assert {role: newest(folder, role) for role in before} == before
    assert newest(folder, role_of(STREAM)) != mine
    assert [pulled(folder), pulled(folder, seq=3), pulled(folder, seq=1)] == [
        2,
        "revoked",
        "below_floor",
    ]
    assert pulled(folder, OTHER) == 2


def test_registry_is_moved_over_with_floors_and_revocations(tmp_path: Path) -> None:
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys")
    repository.init(folder, keys)
    repository.publish(folder, bundle_file(tmp_path, 1), keys)
    repository.publish(folder, bundle_file(tmp_path, 2), keys, floor_seq=2)
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    repository.publish(folder, bundle_file(tmp_path, 1, OTHER), keys)
    repository.revoke(folder, STREAM, 3, keys)
    before = listed(folder)
    seen = [pulled(folder, seq=seq) for seq in (None, 1, 3)]
    assert repository.delegate(folder, keys).streams == 2
    assert listed(folder) == before
    assert (
        [pulled(folder, seq=seq) for seq in (None, 1, 3)] == seen == [2, "below_floor", "revoked"]
    )
    with pytest.raises(RegistryError, match=naming("seq 3", "above", "4")):
        repository.publish(folder, bundle_file(tmp_path, 3), keys)
    assert repository.delegate(folder, keys).streams == 0
    assert listed(folder) == before
    assert json.loads(keys.audit.read_text().splitlines()[-1])["act"] == "delegate"


def in_one_list(folder: Path) -> list[tuple[str, int]]:
    """Stream and seq of what a gateway reads that knows of no other list."""
    paths = json.loads(newest(folder, "targets").read_bytes())["signed"]["targets"]
    named = (path.split("/") for path in sorted(paths) if path.count("/") > 1)
    return [(stream, int(seq)) for _, stream, seq, _ in named]


def test_registry_is_moved_back_for_gateways_that_have_seen_the_lists(
    folder: Path, keys: Keys, tmp_path: Path
) -> None:
    repository.publish(folder, bundle_file(tmp_path, 3), keys, floor_seq=2)
    repository.revoke(folder, STREAM, 3, keys)
    before, seen = listed(folder), [pulled(folder, seq=seq) for seq in (None, 1, 3)]
    assert repository.unite(folder, keys).streams == 2
    assert listed(folder) == before
    assert [pulled(folder, seq=seq) for seq in (None, 1, 3)] == seen
    shutil.rmtree(tmp_path / "state" / "registry")  # the cache; what was seen is remembered
    assert (
        [pulled(folder, seq=seq) for seq in (None, 1, 3)] == seen == [2, "below_floor", "revoked"]
    )
    assert in_one_list(folder) == [(OTHER, 1), (OTHER, 2), (STREAM, 1), (STREAM, 2), (STREAM, 3)]
    assert json.loads(newest(folder, role_of(STREAM)).read_bytes())["signed"]["targets"] == {}
    with pytest.raises(RegistryError, match=naming("seq 3", "above", "4")):
        repository.publish(folder, bundle_file(tmp_path, 3), keys)
    with pytest.raises(RegistryError, match=naming("one list of bundles already")):
        repository.unite(folder, keys)


def test_registry_that_was_moved_back_goes_on_and_may_be_moved_over_again(
    folder: Path, keys: Keys, tmp_path: Path
) -> None:
    repository.unite(folder, keys)
    assert pulled(folder) == 2
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    repository.publish(folder, bundle_file(tmp_path, 1, "third"), keys)
    repository.refresh(folder, keys, validity=Validity(targets=timedelta(days=3650)))
    assert [pulled(folder), pulled(folder, OTHER), pulled(folder, "third")] == [3, 2, 1]
    assert (STREAM, 3) in in_one_list(folder)
    assert repository.delegate(folder, keys).streams == 3
    assert in_one_list(folder) == []
    assert [pulled(folder), pulled(folder, OTHER), pulled(folder, "third")] == [3, 2, 1]


def test_publisher_of_an_earlier_release_signs_nothing() -> None:
    """It would drop the lists; but it ends where an entry among the bundles is none."""
    with pytest.raises(RegistryError, match=naming("entry that is none")):
        Release.from_target(BY_STREAM, 0, {})


def test_rollout_is_signed_with_a_bundle_in_the_list_of_its_stream(
    folder: Path, keys: Keys, tmp_path: Path
) -> None:
    bundle = read_release(bundle_file(tmp_path, 3))
    publish_plan(folder, make_plan(seq=3), keys, bundle=bundle)
    online = split_keys(keys, tmp_path / "online", "online")
    write_stage(folder, online, make_stage(1))
    (found,) = read_rollouts(folder, online)
    assert (found.plan.seq, found.stage and found.stage.stage) == (3, 1)
    assert [pulled(folder, seq=3), pulled(folder, OTHER)] == [3, 2]
    repository.refresh(folder, online)
    assert pulled(folder) == 3


@pytest.mark.parametrize("role", ["root", "targets", "online"])
def test_lists_follow_a_rotation(folder: Path, keys: Keys, tmp_path: Path, role: str) -> None:
    former = split_keys(keys, tmp_path / "former", "targets", "online")
    assert pulled(folder) == 2
    repository.rotate(folder, role, keys)  # type: ignore[arg-type]  # one of three
    assert [pulled(folder), pulled(folder, OTHER)] == [2, 2]
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    assert pulled(folder) == 3
    if role != "root":
        with pytest.raises(MillhandError) as refused:
            repository.revoke(folder, STREAM, 3, former)
        assert refused.value.code == "keys"


def test_rotation_that_was_cut_is_finished_by_a_refresh(folder: Path, keys: Keys) -> None:
    """The root was replaced, and the new targets key has signed nothing yet."""
    before, sealed = copied(folder), keys.sealed.read_bytes()
    repository.rotate(folder, "targets", keys)
    shutil.copy(folder / "metadata" / "2.root.json", before / "metadata" / "2.root.json")
    put_back(before, folder)
    keys.sealed.write_bytes(sealed)
    assert pulled(folder) == "unsigned"
    repository.refresh(folder, keys)
    assert [pulled(folder), pulled(folder, OTHER)] == [2, 2]


def test_list_is_signed_anew_before_it_expires(folder: Path, keys: Keys) -> None:
    before = {stream: newest(folder, role_of(stream)) for stream in (STREAM, OTHER)}
    repository.refresh(folder, keys)
    assert {stream: newest(folder, role_of(stream)) for stream in before} == before
    repository.refresh(folder, keys, validity=Validity(targets=timedelta(days=3650)))
    assert all(newest(folder, role_of(stream)) != path for stream, path in before.items())
    assert [pulled(folder), pulled(folder, OTHER)] == [2, 2]


def test_server_without_the_targets_key_warns_of_lists_that_expire(
    folder: Path, keys: Keys, tmp_path: Path
) -> None:
    online = split_keys(keys, tmp_path / "online", "online")
    status = repository.refresh(folder, online, validity=Validity(targets=timedelta(days=3650)))
    assert any(names(warning, "2 streams", "targets key") for warning in status.warnings)


# --- an older copy, and lists that somebody has changed -----------------------------------------


def acts(folder: Path, keys: Keys) -> dict[str, Callable[[], object]]:
    other = bundle_file(folder.parent, 3, OTHER)
    return {
        "publish": lambda: repository.publish(folder, other, keys),
        "refresh": lambda: repository.refresh(folder, keys),
        "rotate": lambda: repository.rotate(folder, "online", keys),
    }


@pytest.mark.parametrize("act", ["publish", "refresh", "rotate"])
def test_older_copy_of_one_list_is_noticed_whichever_stream_is_changed(
    folder: Path, keys: Keys, act: str
) -> None:
    before = copied(folder)
    repository.revoke(folder, STREAM, 2, keys)
    put_back(before, folder)
    with pytest.raises(RolledBackError, match=naming("--accept-restored-registry")):
        acts(folder, keys)[act]()


def test_other_content_of_a_list_is_noticed(folder: Path, keys: Keys, tmp_path: Path) -> None:
    copy = copied(folder)
    other = split_keys(keys, tmp_path / "other", "targets", "online")
    repository.revoke(folder, STREAM, 2, keys)
    repository.revoke(copy, STREAM, 1, other)
    repository.refresh(copy, other)
    put_back(copy, folder)
    with pytest.raises(ForkedError, match=naming(role_of(STREAM))):
        repository.publish(folder, bundle_file(tmp_path, 3, OTHER), keys)


@pytest.mark.parametrize("damage", ["missing", "changed", "another stream's", "emptied"])
def test_list_that_was_exchanged_is_never_signed_anew(
    folder: Path, keys: Keys, damage: str
) -> None:
    path = newest(folder, role_of(STREAM))
    content = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(content.replace(b'"revoked":false', b'"revoked":true '))
    elif damage == "another stream's":
        shutil.copy(newest(folder, role_of(OTHER)), path)
    elif damage == "emptied":
        path.write_bytes(b"")
    with pytest.raises(RegistryError, match=naming(path.name)):
        repository.revoke(folder, STREAM, 1, keys)
    with pytest.raises(RegistryError, match=naming(path.name)):
        repository.refresh(folder, keys)


def test_list_with_bundles_of_another_stream_is_not_signed(folder: Path, keys: Keys) -> None:
    with forging(folder / "metadata", stolen(keys)) as forgery:
        forgery.list_of(STREAM).targets.update(forgery.list_of(OTHER).targets)
    with pytest.raises(RegistryError, match=naming(STREAM, OTHER)):
        repository.revoke(folder, STREAM, 1, keys)


def test_list_that_only_the_online_key_has_signed_is_never_signed_anew(
    folder: Path, keys: Keys
) -> None:
    signers = stolen(keys)
    with forging(folder / "metadata", signers | {role_of(STREAM): signers["snapshot"]}) as forgery:
        for file in forgery.list_of(STREAM).targets.values():
            file.unrecognized_fields["custom"]["floor_seq"] = 0
    with pytest.raises(RegistryError, match=naming(role_of(STREAM), "not signed by")):
        repository.revoke(folder, STREAM, 1, keys)
    with pytest.raises(RegistryError, match=naming(role_of(STREAM), "not signed by")):
        repository.refresh(folder, keys)


@pytest.mark.parametrize("act", ["publish", "refresh"])
def test_backup_from_before_a_stream_came_is_signed_above_all_that_gateways_have_seen(
    folder: Path, keys: Keys, tmp_path: Path, act: str
) -> None:
    before = copied(folder)
    repository.publish(folder, bundle_file(tmp_path, 1, "late"), keys)
    repository.revoke(folder, STREAM, 2, keys)
    assert [pulled(folder), pulled(folder, "late")] == [1, 1]
    put_back(before, folder)
    assert pulled(folder) == "rollback"
    acts(folder, replace(keys, accepts_restored=True))[act]()
    assert [pulled(folder), pulled(folder, "late")] == [2, "not_published"]
    repository.publish(folder, bundle_file(tmp_path, 1, "late"), keys)
    repository.revoke(folder, STREAM, 2, keys)
    assert [pulled(folder), pulled(folder, "late")] == [1, 1]


def test_backup_from_before_the_registry_was_moved_over_is_taken(tmp_path: Path) -> None:
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys")
    repository.init(folder, keys)
    for seq in (1, 2):
        repository.publish(folder, bundle_file(tmp_path, seq), keys)
    before = copied(folder)
    repository.delegate(folder, keys)
    repository.revoke(folder, STREAM, 2, keys)
    assert pulled(folder) == 1
    put_back(before, folder)
    repository.refresh(folder, replace(keys, accepts_restored=True))
    assert pulled(folder) == 2
    repository.delegate(folder, keys)
    repository.revoke(folder, STREAM, 2, keys)
    assert pulled(folder) == 1


# --- several people -----------------------------------------------------------------------------


@pytest.fixture
def people(tmp_path: Path) -> tuple[Path, Keys, Keys]:
    """A registry for whose lists two of two must sign; the second one has the online key."""
    folder, keys = tmp_path / "registry", Keys(tmp_path / "keys")
    repository.init(folder, keys, targets_keys=2, targets_threshold=2)
    first, second = (path.stem for path in sorted(keys.folder.glob("targets-*.pem")))
    one = split_keys(keys, tmp_path / "one", first)
    two = split_keys(keys, tmp_path / "two", second, "online")
    repository.publish(folder, bundle_file(tmp_path, 1), one)
    assert sign(folder, two)
    return folder, one, two


def sign(folder: Path, keys: Keys) -> bool:
    found = joint_signing.waiting(folder, keys)
    return joint_signing.sign(folder, found, keys).is_published


def test_two_move_a_registry_over_and_publish_in_it(
    people: tuple[Path, Keys, Keys], tmp_path: Path
) -> None:
    folder, one, two = people
    assert repository.delegate(folder, one).missing == 1
    changes = joint_signing.waiting(folder, two).changes
    assert any(names(change, "each stream", "list of bundles of its own") for change in changes)
    assert not any("removed" in change or "added" in change for change in changes)
    assert pulled(folder) == 1
    assert sign(folder, two)
    assert pulled(folder) == 1
    assert repository.publish(folder, bundle_file(tmp_path, 1, OTHER), one).missing == 1
    changes = joint_signing.waiting(folder, two).changes
    assert any(names(change, "added", f"{OTHER}#1") for change in changes)
    assert any(names(change, "may sign", f"bundles/{OTHER}/*/*.zip") for change in changes)
    assert pulled(folder, OTHER) == "not_published"
    assert sign(folder, two)
    assert pulled(folder, OTHER) == 1
    repository.revoke(folder, STREAM, 1, one)
    assert sign(folder, two)
    assert [pulled(folder, seq=1), pulled(folder, OTHER)] == ["revoked", 1]


def test_two_move_a_registry_back(people: tuple[Path, Keys, Keys]) -> None:
    folder, one, two = people
    repository.delegate(folder, one)
    sign(folder, two)
    assert pulled(folder) == 1
    assert repository.unite(folder, one).missing == 1
    changes = joint_signing.waiting(folder, two).changes
    assert any(names(change, "each stream", "or no more") for change in changes)
    assert not any("removed" in change or "added" in change for change in changes)
    assert in_one_list(folder) == []
    assert sign(folder, two)
    assert in_one_list(folder) == [(STREAM, 1)]
    assert pulled(folder) == 1


def test_lists_that_are_due_are_proposed_by_a_refresh(people: tuple[Path, Keys, Keys]) -> None:
    folder, one, two = people
    repository.delegate(folder, one)
    sign(folder, two)
    before = newest(folder, role_of(STREAM))
    long = Validity(targets=timedelta(days=3650))
    assert repository.refresh(folder, one, validity=long).missing == 1
    assert sign(folder, two)
    assert newest(folder, role_of(STREAM)) != before
    assert pulled(folder) == 1


def test_change_of_a_list_that_was_overtaken_waits_no_more(
    people: tuple[Path, Keys, Keys], tmp_path: Path
) -> None:
    folder, one, two = people
    repository.delegate(folder, one)
    sign(folder, two)
    repository.publish(folder, bundle_file(tmp_path, 2), one)
    overtaken = (folder / "pending.json").read_bytes()
    assert sign(folder, two)
    (folder / "pending.json").write_bytes(overtaken)
    with pytest.raises(RegistryError, match=naming("nothing waits")):
        joint_signing.waiting(folder, two)


@pytest.mark.parametrize("damage", ["root", "elsewhere", "damaged", "unsigned", "another's"])
def test_proposal_of_lists_that_was_changed_is_refused(
    people: tuple[Path, Keys, Keys], tmp_path: Path, damage: str
) -> None:
    folder, one, two = people
    repository.delegate(folder, one)
    sign(folder, two)
    repository.publish(folder, bundle_file(tmp_path, 2), one)
    path = folder / "pending.json"
    fields = json.loads(path.read_bytes())
    documents = fields["documents"]
    (document,) = documents.values()
    if damage == "root":
        documents["root"] = json.loads((one.folder / "root.json").read_bytes())
    elif damage == "elsewhere":
        documents["bundles.../x"] = document
    elif damage == "damaged":
        document["signed"]["targets"] = []
    elif damage == "unsigned":
        document["signed"]["targets"] = {}
    else:
        fields["documents"] = {role_of(OTHER): document}
    path.write_text(json.dumps(fields))
    with pytest.raises(RegistryError):
        joint_signing.waiting(folder, two)


# --- limits -------------------------------------------------------------------------------------


def fill(folder: Path, keys: Keys, added: int) -> None:
    """Sign a bundle in whose place a list has so many bytes more."""
    with changing(folder, keys):
        publication = for_targets(folder, keys, DEFAULT_VALIDITY)
        release = Release(STREAM, 3, "0" * 64, 1000)
        publication.put(release)
        (role,) = (role for role in sorted(publication.changed) if role != "stages")
        file = publication.listed(role).signed.targets[release.path]
        file.unrecognized_fields["custom"]["words"] = "x" * added
        sign_targets(publication)


@pytest.mark.parametrize(
    ("has_lists", "remedy"), [(False, "registry delegate"), (True, "several registries")]
)
def test_list_that_no_gateway_reads_is_not_published(
    folder: Path, tmp_path: Path, *, has_lists: bool, remedy: str
) -> None:
    keys = Keys(tmp_path / "keys")
    if not has_lists:
        folder, keys = tmp_path / "plain", Keys(tmp_path / "plain-keys")
        repository.init(folder, keys)
    timestamp = (folder / "metadata" / "timestamp.json").read_bytes()
    with pytest.raises(RegistryError, match=naming("5000000", remedy)):
        fill(folder, keys, 5_000_000)
    assert (folder / "metadata" / "timestamp.json").read_bytes() == timestamp
    fill(folder, keys, 4_900_000)
    repository.refresh(folder, keys)
    assert (STREAM, 3) in [(stream, seq) for stream, seq, *_ in listed(folder)]


def test_lists_that_are_too_long_together_stay_apart(folder: Path, keys: Keys) -> None:
    fill(folder, keys, 4_997_500)
    before = {path.name for path in (folder / "metadata").iterdir()}
    with pytest.raises(RegistryError, match=naming("5000000", "nothing was published")):
        repository.unite(folder, keys)
    assert {path.name for path in (folder / "metadata").iterdir()} == before
    repository.refresh(folder, keys)
    assert [pulled(folder, seq=2), pulled(folder, OTHER)] == [2, 2]


def test_files_of_lists_with_names_of_roles_are_kept_apart(tmp_path: Path) -> None:
    kept = [tmp_path / f"{version}.{role_of('targets')}.json" for version in range(1, 30)]
    gone = [tmp_path / f"{version}.targets.json" for version in (1, 2, 3, 20, 40, 41)]
    for path in (*kept, *gone):
        path.touch()
    prune(tmp_path, "targets", 40, 3)
    left = {path.name for path in tmp_path.iterdir()} - {path.name for path in kept}
    assert left == {f"{version}.targets.json" for version in (3, 20, 40, 41)}
    assert all(path.exists() for path in kept)


def test_commands_lead_to_lists_of_streams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, keys = tmp_path / "registry", tmp_path / "keys"
    signing = [str(folder), "--keys", str(keys)]
    assert main(["registry", "init", *signing]) == 0
    bundle = str(bundle_file(tmp_path, 1))
    accepted = ["--accept-worse-than-constant"]
    assert main(["publish", bundle, "--registry", *signing, *accepted]) == 0
    capsys.readouterr()
    assert main(["registry", "delegate", *signing]) == 0
    told = capsys.readouterr()
    assert names(told.out, "streams", "1")
    assert names(told.err, "releases before", "upgrade")
    assert main(["registry", "list", str(folder)]) == 0
    assert STREAM in capsys.readouterr().out
    assert pulled(folder) == 1
    assert main(["registry", "unite", *signing]) == 0
    told = capsys.readouterr()
    assert names(told.out, "one list again", "1")
    assert names(told.err, "stay, signed and empty", "every place that signs")
    assert main(["registry", "unite", *signing]) == 1
    assert names(capsys.readouterr().err, "has one list of bundles already")
    assert pulled(folder) == 1
