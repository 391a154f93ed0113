"""A list of bundles for each stream: what a gateway reads of it, and attacks that it refuses."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import DelegatedRole, Delegations, MetaFile

from models.bundle.stream_list import role_of
from models.errors import MillhandError
from serving.publishing import repository
from serving.publishing.keys import Keys
from serving.publishing.rollouts import publish_plan, write_stage
from serving.registry.catalogue import Here
from serving.registry.fetch import Fetcher
from serving.registry.trust import TrustedRegistry, exclusive
from tests.kit.bundles.attacker import put_file, stolen
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.bundles.forgery import Forgery, forging
from tests.kit.bundles.mirrors import Fault, mirror
from tests.kit.bundles.published import Published
from tests.kit.bundles.publishing import STREAM, make_plan, make_stage

OTHER = "fans-health"
PLAIN = "targets"  # a stream whose name is that of a role
Attack = Callable[[Forgery], object]


@dataclass
class Gateway:
    """A gateway's client, built anew for each question, as each pull does."""

    url: str
    root: Path
    state: Path

    def select(self, stream: str = STREAM, seq: int | None = None) -> int:
        with exclusive(self.state), Fetcher() as fetcher:
            here = Here(1 << 20)
            trusted = TrustedRegistry(self.url, self.root, self.state, fetcher=fetcher, here=here)
            trusted.refresh()
            return trusted.select(stream, seq).ref.seq

    def refusal(self, stream: str = STREAM, seq: int | None = None) -> str:
        with pytest.raises(MillhandError) as refused:
            self.select(stream, seq)
        return refused.value.code

    def lose_cache(self) -> None:
        shutil.rmtree(self.state / "registry")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with two bundles of each of three streams, each stream in its own list."""
    folder = tmp_path_factory.mktemp("template")
    created = Published.create(folder)
    for stream in (STREAM, OTHER, PLAIN):
        for seq in (1, 2):
            created.publish(make_bundle(make_manifest(stream=stream, seq=seq)))
    with forging(metadata(created), stolen(created.keys)) as forgery:
        for stream in (STREAM, OTHER, PLAIN):
            forgery.move(stream)
    return folder


@pytest.fixture
def published(template: Path, tmp_path: Path) -> Published:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Published(tmp_path / "registry", Keys(tmp_path / "keys"))


@pytest.fixture
def gateway(published: Published, tmp_path: Path) -> Gateway:
    root = tmp_path / "root.json"
    shutil.copy(published.keys.root, root)
    return Gateway(published.url, root, tmp_path / "state")


def metadata(published: Published) -> Path:
    return published.folder / "metadata"


def forged(published: Published, change: Attack) -> None:
    with forging(metadata(published), stolen(published.keys)) as forgery:
        change(forgery)


def describe(seq: int, **change: object) -> Attack:
    def redescribe(forgery: Forgery) -> None:
        for path, file in forgery.list_of(STREAM).targets.items():
            if path.split("/")[2] == str(seq):
                file.unrecognized_fields["custom"] |= change

    return redescribe


def newest_list(published: Published, stream: str = STREAM) -> Path:
    found = metadata(published).glob(f"*.{role_of(stream)}.json")
    return max(found, key=lambda path: int(path.name.partition(".")[0]))


def test_gateway_reads_the_list_of_its_stream_and_no_other(
    published: Published, gateway: Gateway
) -> None:
    newest_list(published, OTHER).unlink()
    assert (gateway.select(), gateway.select(PLAIN)) == (2, 2)
    cached = {path.name for path in (gateway.state / "registry").glob("bundles.*")}
    assert cached == {f"{role_of(stream)}.json" for stream in (STREAM, PLAIN)}
    assert gateway.refusal(OTHER) == "not_served"


def test_gateway_goes_on_when_its_registry_gets_lists(tmp_path: Path) -> None:
    created = Published.create(tmp_path)
    created.publish(make_bundle(make_manifest(stream=STREAM, seq=1)))
    gateway = Gateway(created.url, created.keys.root, tmp_path / "state")
    assert gateway.select() == 1
    forged(created, lambda forgery: forgery.move(STREAM))
    assert gateway.select() == 1
    gateway.lose_cache()
    assert gateway.select() == 1


def test_floor_and_revocation_count_in_a_list_of_its_own(
    published: Published, gateway: Gateway
) -> None:
    forged(published, describe(2, floor_seq=2))
    assert gateway.refusal(seq=1) == "below_floor"
    forged(published, describe(2, revoked=True))
    assert gateway.refusal(seq=2) == "revoked"
    assert gateway.refusal(seq=1) == "below_floor"


def test_plan_and_stage_are_read_beside_lists(published: Published, gateway: Gateway) -> None:
    publish_and_move(published)
    with exclusive(gateway.state), Fetcher() as fetcher:
        trusted = TrustedRegistry(
            gateway.url, gateway.root, gateway.state, fetcher=fetcher, here=Here(1 << 20)
        )
        trusted.refresh()
        found = trusted.rollout(STREAM)
        assert found is not None
        assert found.stage is not None
        assert trusted.select(STREAM).ref.seq == 2


def publish_and_move(published: Published) -> None:
    """A registry made anew: a plan first, and a list of the stream beside its stages."""
    for name in ("registry", "keys"):
        shutil.rmtree(published.folder.parent / name)
    again = Published.create(published.folder.parent)
    for seq in (1, 2):
        again.publish(make_bundle(make_manifest(stream=STREAM, seq=seq)))
    publish_plan(again.folder, make_plan(), again.keys)
    write_stage(again.folder, again.keys, make_stage(1))
    forged(again, lambda forgery: forgery.move(STREAM))
    shutil.copy(again.keys.root, published.folder.parent / "root.json")


# --- attacks ------------------------------------------------------------------------------------


def expire(forgery: Forgery) -> None:
    forgery.list_of(STREAM).expires = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


def hide(forgery: Forgery) -> None:
    del forgery.snapshot.signed.meta[f"{role_of(STREAM)}.json"]


def widen(forgery: Forgery) -> None:
    forgery.delegate(STREAM, paths=["bundles/*/*/*.zip"])


def add_rival(forgery: Forgery) -> None:
    forgery.delegate(STREAM, name="rival")


def add_bins(forgery: Forgery) -> None:
    roles = forgery.targets.signed.delegations
    assert roles is not None
    assert roles.roles is not None
    roles.roles["bins"] = DelegatedRole("bins", [], 1, terminating=True, path_hash_prefixes=[""])


def pass_on(forgery: Forgery) -> None:
    forgery.list_of(STREAM).delegations = Delegations({}, {})


def list_another(forgery: Forgery) -> None:
    theirs = forgery.list_of(OTHER).targets
    forgery.list_of(STREAM).targets.update(theirs)


def list_plan(forgery: Forgery) -> None:
    name = f"rollouts/{STREAM}/r1.json"
    put_file(forgery.folder.parent, name, b"{}", forgery.list_of(STREAM))


def list_in_both(forgery: Forgery) -> None:
    forgery.targets.signed.targets.update(forgery.list_of(STREAM).targets)


def rename(forgery: Forgery) -> None:
    describe(2, stream=OTHER)(forgery)


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        pytest.param(expire, "expired", id="withheld until it expired"),
        pytest.param(hide, "metadata_invalid", id="missing in the snapshot"),
        pytest.param(widen, "metadata_invalid", id="with paths of all streams"),
        pytest.param(add_rival, "metadata_invalid", id="with a rival for its paths"),
        pytest.param(add_bins, "metadata_invalid", id="with bins for everything"),
        pytest.param(pass_on, "metadata_invalid", id="that delegates further"),
        pytest.param(list_another, "wrong_stream", id="with bundles of another stream"),
        pytest.param(list_plan, "wrong_stream", id="with a plan"),
        pytest.param(list_in_both, "metadata_invalid", id="with what the list of all has too"),
        pytest.param(rename, "wrong_stream", id="with a bundle described as another's"),
    ],
)
@pytest.mark.parametrize("seen", ["seen before", "never seen"])
def test_list_that_no_publisher_signs_is_refused(
    published: Published, gateway: Gateway, attack: Attack, code: str, seen: str
) -> None:
    if seen == "seen before":
        assert gateway.select() == 2
    forged(published, attack)
    assert gateway.refusal() == code


@pytest.mark.parametrize("attack", [list_another, list_plan, pass_on, expire])
def test_list_that_is_refused_does_not_harm_other_streams(
    published: Published, gateway: Gateway, attack: Attack
) -> None:
    forged(published, attack)
    assert gateway.select(OTHER) == 2


@pytest.mark.parametrize("signer", ["stranger", "online"])
def test_list_signed_by_another_key_is_refused(
    published: Published, gateway: Gateway, tmp_path: Path, signer: str
) -> None:
    ours = stolen(published.keys)
    strangers = stolen(Published.create(tmp_path / "stranger").keys)
    by = {"stranger": strangers["targets"], "online": ours["snapshot"]}[signer]
    with forging(metadata(published), ours | {role_of(STREAM): by}) as forgery:
        forgery.list_of(STREAM)
    assert gateway.refusal() == "unsigned"
    assert gateway.select(OTHER) == 2


def test_list_by_a_key_that_was_replaced_is_refused(published: Published, gateway: Gateway) -> None:
    """The publisher has signed the list of all with a new key, and not yet that of the stream."""
    former = stolen(published.keys)["targets"]
    repository.rotate(published.folder, "targets", published.keys)

    def replace_key(forgery: Forgery) -> None:
        forgery.targets.signed.delegations = None
        forgery.delegate(STREAM)

    forged(published, replace_key)
    with forging(
        metadata(published), stolen(published.keys) | {role_of(STREAM): former}
    ) as forgery:
        forgery.list_of(STREAM)
    assert gateway.refusal() == "unsigned"


def test_changed_byte_of_a_list_is_refused(published: Published, gateway: Gateway) -> None:
    path = newest_list(published)
    path.write_bytes(path.read_bytes().replace(b'"revoked":false', b'"revoked":true '))
    assert gateway.refusal() == "digest_mismatch"


def test_list_of_another_publication_is_refused(published: Published, gateway: Gateway) -> None:
    older = newest_list(published).read_bytes()
    forged(published, describe(2, floor_seq=1))  # as long as before
    newest_list(published).write_bytes(older)
    assert gateway.refusal() == "digest_mismatch"


def test_list_of_another_stream_in_its_place_is_refused(
    published: Published, gateway: Gateway
) -> None:
    shutil.copy(newest_list(published, OTHER), newest_list(published))
    assert gateway.refusal() == "digest_mismatch"


def name_older(published: Published, version: int, stream: str = STREAM) -> None:
    """What a thief of the online key can do: name a list that was current once."""
    name = f"{role_of(stream)}.json"
    content = (metadata(published) / f"{version}.{name}").read_bytes()

    def point(forgery: Forgery) -> None:
        forgery.snapshot.signed.meta[name] = MetaFile(version, len(content))

    forged(published, point)


@pytest.mark.parametrize("loss", ["cache kept", "cache lost"])
@pytest.mark.parametrize("change", [{"revoked": True}, {"floor_seq": 2}])
def test_older_list_named_by_a_stolen_online_key_is_refused(
    published: Published, gateway: Gateway, loss: str, change: dict[str, object]
) -> None:
    forged(published, describe(2, **change))
    before = gateway.select()
    if loss == "cache lost":
        gateway.lose_cache()
    name_older(published, 1)
    assert gateway.refusal() == "rollback"
    assert gateway.refusal(seq=1) == "rollback"
    name_older(published, 2)
    gateway.lose_cache()
    assert gateway.select() == before


def test_older_list_of_a_stream_is_no_rollback_of_another(
    published: Published, gateway: Gateway
) -> None:
    forged(published, describe(2, revoked=True))
    assert (gateway.select(), gateway.select(OTHER)) == (1, 2)
    gateway.lose_cache()
    name_older(published, 1)
    assert gateway.refusal() == "rollback"
    assert gateway.select(OTHER) == 2


@pytest.mark.parametrize("loss", ["cache kept", "cache lost"])
def test_list_that_was_taken_away_is_refused(
    published: Published, gateway: Gateway, loss: str
) -> None:
    assert gateway.select() == 2

    def take_away(forgery: Forgery) -> None:
        delegations = forgery.targets.signed.delegations
        assert delegations is not None
        assert delegations.roles is not None
        del delegations.roles[role_of(STREAM)]

    forged(published, take_away)
    if loss == "cache lost":
        gateway.lose_cache()
    assert gateway.refusal() == "rollback"


def test_list_that_a_thief_of_the_key_has_made_is_forgotten_with_the_key(tmp_path: Path) -> None:
    created = Published.create(tmp_path)
    created.publish(make_bundle(make_manifest(stream=STREAM, seq=1)))
    before = shutil.copytree(created.folder, tmp_path / "before")
    gateway = Gateway(created.url, created.keys.root, tmp_path / "state")
    forged(created, lambda forgery: forgery.move(STREAM))
    assert gateway.select() == 1
    shutil.rmtree(created.folder)
    shutil.copytree(before, created.folder)
    repository.rotate(created.folder, "targets", created.keys)
    repository.rotate(created.folder, "online", created.keys)
    gateway.lose_cache()
    assert gateway.select() == 1


def test_deleted_list_is_waited_for(published: Published, gateway: Gateway) -> None:
    path = newest_list(published)
    content = path.read_bytes()
    path.unlink()
    assert gateway.refusal() == "not_served"
    path.write_bytes(content)
    assert gateway.select() == 2


def test_endless_list_is_refused(published: Published, gateway: Gateway) -> None:
    path = newest_list(published)
    path.write_bytes(path.read_bytes() + b" " * 1_000_000)
    assert gateway.refusal() == "oversized"


def test_list_of_any_length_that_the_online_key_signs_is_not_read(
    published: Published, gateway: Gateway
) -> None:
    path = newest_list(published)
    version = int(path.name.partition(".")[0])
    path.write_bytes(path.read_bytes() + b" " * 6_000_000)
    name_older(published, version)
    with mirror(published.folder) as server:
        gateway.url = server.url
        assert gateway.refusal() == "oversized"
        server.faults[path.name] = Fault(endless=True)
        assert gateway.refusal() == "oversized"


def test_mark_of_a_list_is_kept_beside_those_of_other_streams(gateway: Gateway) -> None:
    gateway.select()
    gateway.select(OTHER)
    kept = json.loads((gateway.state / "trust.json").read_bytes())["roles"]
    lists = {role_of(STREAM), role_of(OTHER)}
    assert {name: kept[name]["version"] for name in lists} == dict.fromkeys(lists, 1)
    assert kept.keys() == {"root", "targets", "snapshot", "timestamp"} | lists
