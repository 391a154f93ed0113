"""Attacks on the trust plane: each is refused, and by its own name."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root, Targets

from models.errors import MillhandError, UntrustedBundleError
from serving.errors import TransientError
from serving.publishing import repository
from serving.publishing.keys import Keys
from serving.publishing.releases import DEFAULT_VALIDITY, Release, Validity
from serving.registry.catalogue import Here, Target
from serving.registry.fetch import Fetcher, Pace
from serving.registry.high_water_mark import CLOCK_STEP, NOT_BEFORE, HighWaterMark, Role
from serving.registry.refusals import error_of
from serving.registry.trust import TrustedRegistry, exclusive
from tests.kit.bundles.attacker import forge, stolen
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.bundles.mirrors import Fault, mirror
from tests.kit.bundles.published import Published
from tests.kit.wording import naming

STREAM = "pump-health"
PAST = timedelta(days=-1)
DEMANDING = Pace(lowest_rate=1000.0, rate_window_s=0.1)


@dataclass
class Gateway:
    """A gateway's trust plane, built anew for each question, as each pull does."""

    url: str
    root: Path
    state: Path
    max_bytes: int = 1 << 20

    def select(self, seq: int | None = None, stream: str = STREAM) -> Target:
        with self._refreshed() as trusted:
            return trusted.select(stream, seq)

    def pull(self, seq: int | None = None) -> Path:
        with self._refreshed() as trusted:
            target = trusted.select(STREAM, seq)
            return trusted.download(target, self.state / "bundles", lambda *_: None)

    def refusal(self, seq: int | None = None) -> str:
        """The code by which a pull is refused; nothing has become a bundle by it."""
        before = self.bundles()
        with pytest.raises(MillhandError) as refused:
            self.pull(seq)
        error = refused.value
        assert str(error)
        assert type(error_of(error.code, "")) is type(error), "the parent cannot raise it again"
        assert self.bundles() == before
        return error.code

    def bundles(self) -> list[str]:
        return sorted(path.name for path in (self.state / "bundles").glob("*"))

    def lose_cache(self) -> None:
        shutil.rmtree(self.state / "registry")

    def has_seen(self, moment: datetime) -> None:
        path = self.state / "trust.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"seen": moment.isoformat()}))

    @contextmanager
    def _refreshed(self) -> Iterator[TrustedRegistry]:
        with exclusive(self.state), Fetcher(DEMANDING) as fetcher:
            trusted = TrustedRegistry(
                self.url, self.root, self.state, fetcher=fetcher, here=Here(self.max_bytes)
            )
            trusted.refresh()
            yield trusted


@pytest.fixture
def published(tmp_path: Path) -> Published:
    created = Published.create(tmp_path)
    publish(created, 1)
    return created


@pytest.fixture
def gateway(published: Published, tmp_path: Path) -> Gateway:
    root = tmp_path / "root.json"
    shutil.copy(published.keys.root, root)
    return Gateway(published.url, root, tmp_path / "state")


def publish(
    published: Published,
    seq: int,
    stream: str = STREAM,
    *,
    floor_seq: int | None = None,
    validity: Validity = DEFAULT_VALIDITY,
) -> Release:
    path = published.folder.parent / f"{stream}-{seq}.zip"
    path.write_bytes(make_bundle(make_manifest(stream=stream, seq=seq)).content)
    return repository.publish(
        published.folder, path, published.keys, floor_seq=floor_seq, validity=validity
    )


def metadata(published: Published) -> Path:
    return published.folder / "metadata"


def backup(published: Published) -> Path:
    return Path(shutil.copytree(published.folder, published.folder.parent / "backup"))


def replay(published: Published, backup: Path) -> None:
    shutil.rmtree(published.folder)
    shutil.copytree(backup, published.folder)


# --- what should go well ------------------------------------------------------------------------


def test_newest_bundle_is_pulled_by_default(published: Published, gateway: Gateway) -> None:
    release = publish(published, 2)
    assert gateway.pull().read_bytes() == published.bundle_path(release).read_bytes()
    assert gateway.bundles() == [f"{release.sha256}.zip"]


def test_selected_bundle_is_pulled(published: Published, gateway: Gateway) -> None:
    publish(published, 2)
    assert gateway.select(1).ref.seq == 1


def test_streams_do_not_meet(published: Published, gateway: Gateway) -> None:
    publish(published, 7, stream="pump-healthy")
    publish(published, 9, stream="pump")
    assert gateway.select().ref.seq == 1
    assert gateway.select(stream="pump").ref.seq == 9


def test_url_may_end_with_a_slash(gateway: Gateway) -> None:
    gateway.url += "/"
    assert gateway.pull().exists()


@pytest.mark.parametrize("role", ["root", "targets", "online"])
def test_gateway_follows_new_keys(published: Published, gateway: Gateway, role: str) -> None:
    gateway.pull()
    repository.rotate(published.folder, role, published.keys)  # type: ignore[arg-type]  # one of three
    publish(published, 2)
    assert gateway.select().ref.seq == 2
    gateway.lose_cache()
    assert gateway.select().ref.seq == 2


def test_root_installed_later_is_as_good(published: Published, gateway: Gateway) -> None:
    repository.rotate(published.folder, "root", published.keys)
    shutil.copy(published.keys.root, gateway.root)
    assert gateway.select().ref.seq == 1


def test_lost_or_damaged_cache_is_fetched_again(published: Published, gateway: Gateway) -> None:
    gateway.pull()
    for cached in (gateway.state / "registry").glob("*.json"):
        if not cached.is_symlink():
            cached.write_bytes(b"")  # as a power cut leaves it
    publish(published, 2)
    assert gateway.select().ref.seq == 2
    gateway.lose_cache()
    assert gateway.select().ref.seq == 2


def test_rest_of_a_killed_refresh_is_removed(gateway: Gateway) -> None:
    cache = gateway.state / "registry"
    cache.mkdir(parents=True)
    (cache / "tmpabcdef").write_bytes(b"half")
    gateway.select()
    assert not (cache / "tmpabcdef").exists()


def test_revoked_newest_gives_way_to_the_one_before(published: Published, gateway: Gateway) -> None:
    publish(published, 2)
    repository.revoke(published.folder, STREAM, 2, published.keys)
    assert gateway.select().ref.seq == 1


# --- attacks on the bundle ----------------------------------------------------------------------


def test_flipped_bit_is_refused(published: Published, gateway: Gateway) -> None:
    path = published.bundle_path(publish(published, 2))
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert gateway.refusal() == "digest_mismatch"


def test_other_streams_bundle_in_its_place_is_refused(
    published: Published, gateway: Gateway
) -> None:
    other = publish(published, 1, stream="fans-health")
    ours = publish(published, 2)
    shutil.copy(published.bundle_path(other), published.bundle_path(ours))
    assert gateway.refusal() == "digest_mismatch"


def test_bundle_that_nobody_signed_is_refused(published: Published, gateway: Gateway) -> None:
    bundle = make_bundle(make_manifest(seq=2))
    path = published.folder / "targets" / "bundles" / STREAM / "2" / f"{bundle.sha256}.zip"
    path.parent.mkdir()
    path.write_bytes(bundle.content)
    assert gateway.refusal(2) == "not_published"


def test_withheld_bundle_is_told(published: Published, gateway: Gateway) -> None:
    published.bundle_path(publish(published, 2)).unlink()
    assert gateway.refusal() == "not_served"


def test_registry_that_is_elsewhere_is_told(gateway: Gateway) -> None:
    gateway.url += "/elsewhere"
    assert gateway.refusal() == "not_served"


def test_registry_that_is_down_is_told(gateway: Gateway) -> None:
    gateway.url = "http://127.0.0.1:1"
    assert gateway.refusal() == "registry_unreachable"


def test_bundle_longer_than_the_operator_allows_is_refused(gateway: Gateway) -> None:
    gateway.max_bytes = 1000
    assert gateway.refusal() == "oversized"


def test_endless_bundle_is_refused(published: Published, gateway: Gateway) -> None:
    release = publish(published, 2)
    with mirror(published.folder) as server:
        gateway.url = server.url
        server.faults[f"{release.sha256}.zip"] = Fault(endless=True)
        assert gateway.refusal() == "oversized"


def test_slow_registry_is_given_up(published: Published, gateway: Gateway) -> None:
    with mirror(published.folder) as server:
        gateway.url = server.url
        server.faults["timestamp.json"] = Fault(drip_s=0.01)
        assert gateway.refusal() == "too_slow"


def test_hostile_push_can_only_select_what_is_signed(
    published: Published, gateway: Gateway
) -> None:
    publish(published, 2)
    publish(published, 3, floor_seq=2)
    repository.revoke(published.folder, STREAM, 2, published.keys)
    refusals = {seq: gateway.refusal(seq) for seq in (1, 2, 4, -1, 10**30)}
    assert refusals == {
        1: "below_floor",
        2: "revoked",
        4: "not_published",
        -1: "not_published",
        10**30: "not_published",
    }


def test_stream_without_bundles_is_told(published: Published, gateway: Gateway) -> None:
    shutil.rmtree(published.folder)
    repository.init(published.folder, Keys(published.folder.parent / "other-keys"))
    shutil.copy(published.folder.parent / "other-keys" / "root.json", gateway.root)
    assert gateway.refusal() == "not_published"


# --- attacks on the metadata --------------------------------------------------------------------


def test_strangers_timestamp_is_refused(
    published: Published, gateway: Gateway, tmp_path: Path
) -> None:
    strangers = stolen(Published.create(tmp_path / "stranger").keys)
    forge(metadata(published), strangers)
    assert gateway.refusal() == "unsigned"


def test_stolen_online_key_cannot_sign_a_bundle(
    published: Published, gateway: Gateway, tmp_path: Path
) -> None:
    strangers = stolen(Published.create(tmp_path / "stranger").keys)
    theirs = stolen(published.keys) | {"targets": strangers["targets"]}
    forge(metadata(published), theirs)
    assert gateway.refusal() == "unsigned"


def test_stolen_online_key_cannot_revive_an_old_list(
    published: Published, gateway: Gateway
) -> None:
    publish(published, 2)
    old = backup(published)
    repository.revoke(published.folder, STREAM, 2, published.keys)
    gateway.pull()
    replay(published, old)
    signers = stolen(published.keys)
    newest = Metadata[Targets].from_file(str(metadata(published) / "3.targets.json"))
    forge(metadata(published), signers, skip=5)
    # The thief has no targets key: the list goes back to what the publisher once signed.
    (metadata(published) / "8.targets.json").write_bytes(newest.to_bytes())
    assert gateway.refusal() == "digest_mismatch"


def test_one_of_two_root_keys_cannot_make_a_root(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    repository.init(tmp_path / "registry", keys, root_keys=2, root_threshold=2)
    gateway = Gateway((tmp_path / "registry").as_uri(), keys.root, tmp_path / "state")
    root = Metadata[Root].from_file(str(keys.root))
    root.signed.version = 2
    root.sign(stolen(keys)["root"])
    (tmp_path / "registry" / "metadata" / "2.root.json").write_bytes(root.to_bytes())
    assert gateway.refusal() == "unsigned"


def test_older_metadata_is_refused(published: Published, gateway: Gateway) -> None:
    old = backup(published)
    publish(published, 2)
    gateway.pull()
    replay(published, old)
    assert gateway.refusal() == "rollback"


@pytest.mark.parametrize("loss", ["zeroed", "removed"])
def test_older_metadata_is_refused_after_a_lost_cache(
    published: Published, gateway: Gateway, loss: str
) -> None:
    old = backup(published)
    publish(published, 2)
    gateway.pull()
    if loss == "removed":
        gateway.lose_cache()
    else:
        for name in ("timestamp.json", "snapshot.json", "targets.json"):
            (gateway.state / "registry" / name).write_bytes(b"")
    replay(published, old)
    assert gateway.refusal() == "rollback"
    assert gateway.refusal() == "rollback"


def test_hidden_root_is_missed_after_a_lost_cache(published: Published, gateway: Gateway) -> None:
    old = backup(published)
    repository.rotate(published.folder, "online", published.keys)
    gateway.pull()
    gateway.lose_cache()
    replay(published, old)
    assert gateway.refusal() == "rollback"


def test_mixed_publications_are_refused(published: Published, gateway: Gateway) -> None:
    publish(published, 2)
    shutil.copy(metadata(published) / "2.targets.json", metadata(published) / "3.targets.json")
    assert gateway.refusal() == "digest_mismatch"


@pytest.mark.parametrize("role", ["root", "targets", "online"])
def test_expired_metadata_is_refused(published: Published, gateway: Gateway, role: str) -> None:
    gateway.pull()
    ended = Validity(**{role: PAST})
    if role == "root":
        repository.rotate(published.folder, "root", published.keys, validity=ended)
    else:
        publish(published, 2, validity=ended)
    assert gateway.refusal() == "expired"
    repository.refresh(published.folder, published.keys)
    assert gateway.pull().exists()


def test_clock_set_back_is_refused(gateway: Gateway) -> None:
    gateway.pull()
    ahead = datetime.now(UTC) + CLOCK_STEP + timedelta(minutes=1)
    gateway.has_seen(ahead)
    assert gateway.refusal() == "clock_behind"


def test_clock_that_was_ahead_once_is_cleared_by_the_way_that_the_refusal_names(
    gateway: Gateway,
) -> None:
    gateway.pull()
    gateway.has_seen(datetime.now(UTC) + timedelta(days=5))
    with pytest.raises(MillhandError, match=r"trust\.json") as refused:
        gateway.pull()
    assert refused.value.code == "clock_behind"
    (gateway.state / "trust.json").unlink()
    gateway.pull()


def test_small_step_of_time_synchronisation_is_tolerated(gateway: Gateway) -> None:
    gateway.pull()
    ahead = datetime.now(UTC) + CLOCK_STEP - timedelta(minutes=1)
    gateway.has_seen(ahead)
    gateway.pull()
    assert json.loads((gateway.state / "trust.json").read_bytes())["seen"] == ahead.isoformat()


def test_clock_of_2000_is_refused_on_the_first_day() -> None:
    unseen = HighWaterMark(NOT_BEFORE, {})
    with pytest.raises(MillhandError) as refused:
        unseen.check_clock(datetime(2000, 1, 1, tzinfo=UTC))
    assert refused.value.code == "clock_behind"


def test_endless_metadata_is_refused(published: Published, gateway: Gateway) -> None:
    timestamp = metadata(published) / "timestamp.json"
    timestamp.write_bytes(timestamp.read_bytes() + b" " * 10_000_000)
    assert gateway.refusal() == "oversized"


@pytest.mark.parametrize(
    "content",
    [
        b'{"signed": {"_type": "root"}, "signatures": []}',
        b'{"signed": 1, "signatures": []}',
        b'{"signed": {}, "signatures": [{}]}',
    ],
)
def test_metadata_that_is_malformed_is_refused(
    published: Published, gateway: Gateway, content: bytes
) -> None:
    (metadata(published) / "timestamp.json").write_bytes(content)
    assert gateway.refusal() == "metadata_invalid"


LOGIN_PAGE = b"<!DOCTYPE html><html><title>Guest network</title>"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b'{"error": "login required"}',
        b"[" * 16_000,
        LOGIN_PAGE,
        pytest.param(LOGIN_PAGE * 20_000, id="long page"),
        pytest.param(bytes(10_000_000), id="zeros"),
    ],
)
@pytest.mark.parametrize("name", ["timestamp.json", "2.root.json", "2.targets.json"])
def test_what_nobody_has_signed_is_waited_for(
    published: Published, gateway: Gateway, content: bytes, name: str
) -> None:
    with mirror(published.folder) as server:
        gateway.url = server.url
        (metadata(published) / name).write_bytes(content)
        assert gateway.refusal() == "unexpected_answer"
        with pytest.raises(TransientError):
            gateway.pull()


@pytest.mark.parametrize("secret", [b"hunter2", b"<hunter2", b'{"hunter2": 1}'])
def test_link_to_a_secret_in_a_registrys_folder_is_not_told(
    published: Published, gateway: Gateway, tmp_path: Path, secret: bytes
) -> None:
    (tmp_path / "secret").write_bytes(secret)
    (bundle,) = (published.folder / "targets").rglob("*.zip")
    for path in (metadata(published) / "timestamp.json", bundle):
        kept = path.read_bytes()
        path.unlink()
        path.symlink_to(tmp_path / "secret")
        with pytest.raises(TransientError) as waiting:
            gateway.pull()
        assert "hunter2" not in str(waiting.value)
        path.unlink()
        path.write_bytes(kept)


def test_login_page_in_place_of_everything_is_waited_for(
    published: Published, gateway: Gateway
) -> None:
    release = publish(published, 2)
    names = [path.name for path in metadata(published).iterdir()]
    with mirror(published.folder) as server:
        gateway.url = server.url
        for page in (LOGIN_PAGE, LOGIN_PAGE * 100_000):
            for name in (*names, "2.root.json"):
                server.faults[name] = Fault(page=page)
            assert gateway.refusal() == "unexpected_answer"
            server.faults = {f"{release.sha256}.zip": Fault(page=page)}
            assert gateway.refusal() == "unexpected_answer"
        server.faults.clear()
        assert gateway.pull().exists()


def test_fast_forward_by_a_stolen_online_key_is_repaired_by_its_rotation(
    published: Published, gateway: Gateway
) -> None:
    gateway.pull()
    before = backup(published)
    forge(metadata(published), stolen(published.keys), skip=2**31)
    gateway.pull()
    replay(published, before)
    assert gateway.refusal() == "rollback"
    repository.rotate(published.folder, "targets", published.keys)
    repository.rotate(published.folder, "online", published.keys)
    assert gateway.select().ref.seq == 1
    gateway.lose_cache()
    assert gateway.select().ref.seq == 1


# --- the signed list contradicts itself ---------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"stream": "pump"}, "wrong_stream"),
        ({"seq": 2}, "wrong_stream"),
        ({"seq": "1"}, "wrong_stream"),
        ({"floor_seq": "1"}, "metadata_invalid"),
        ({"revoked": 0}, "metadata_invalid"),
        ({"floor_seq": True}, "metadata_invalid"),
    ],
)
def test_description_that_differs_from_the_path_is_refused(
    published: Published, gateway: Gateway, change: dict[str, object], code: str
) -> None:
    forge(metadata(published), stolen(published.keys), _describe(change))
    assert gateway.refusal() == code


def _describe(change: dict[str, object]) -> Callable[[Targets], None]:
    def redescribe(targets: Targets) -> None:
        for file in targets.targets.values():
            file.unrecognized_fields["custom"] |= change

    return redescribe


# --- the gateway's own files --------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"no json"])
def test_root_that_is_none_is_told(gateway: Gateway, content: bytes | None) -> None:
    if content is None:
        gateway.root.unlink()
    else:
        gateway.root.write_bytes(content)
    assert gateway.refusal() == "trust_anchor_invalid"


def test_root_of_another_registry_is_refused(gateway: Gateway, tmp_path: Path) -> None:
    shutil.copy(Published.create(tmp_path / "other").keys.root, gateway.root)
    assert gateway.refusal() == "unsigned"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        pytest.param(b"\0\0\0", id="zeros"),
        b"[]",
        b"{}",
        b'{"schema": 2}',
        b'{"schema": 1, "seen": "2026-01-01", "roles": {}}',
        b'{"schema": 1, "seen": "2026-01-01T00:00:00Z", "roles": {"root": 1}}',
    ],
)
def test_damaged_high_water_mark_is_not_taken_for_none(gateway: Gateway, content: bytes) -> None:
    gateway.state.mkdir()
    (gateway.state / "trust.json").write_bytes(content)
    assert gateway.refusal() == "trust_anchor_invalid"


def test_high_water_mark_survives_writing(tmp_path: Path) -> None:
    roles = {"root": Role(2), "targets": Role(7, frozenset({"a", "b"}))}
    written = HighWaterMark(datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC), roles)
    written.write(tmp_path / "trust.json")
    assert HighWaterMark.read(tmp_path / "trust.json") == written


def test_key_that_is_added_resets_nothing() -> None:
    seen = HighWaterMark(NOT_BEFORE, {"timestamp": Role(7, frozenset({"a"}))})
    with pytest.raises(UntrustedBundleError, match=naming("timestamp", "6", "7")):
        seen.raised({"timestamp": Role(6, frozenset({"a", "b"}))}, NOT_BEFORE)
    taken_away = seen.raised({"timestamp": Role(6, frozenset({"b"}))}, NOT_BEFORE)
    assert taken_away.roles["timestamp"].version == 6


def test_state_that_cannot_be_written_is_told(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    gateway.state = tmp_path / "file"
    assert gateway.refusal() == "storage"
    gateway.state = tmp_path / "state"
    gateway.state.mkdir()
    (gateway.state / "registry").write_bytes(b"")
    assert gateway.refusal() == "storage"
