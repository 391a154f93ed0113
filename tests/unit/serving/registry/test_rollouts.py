"""A rollout as a gateway reads it: who may sign what, and what is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # it is public
from tuf.api.metadata import Targets

from models.errors import MillhandError
from models.rollout.files import MAX_PLAN_BYTES, plan_target, stage_target
from models.rollout.plan import Group
from models.rollout.stage import Stage
from serving.publishing import repository
from serving.publishing.keys import Keys
from serving.publishing.rollouts import publish_plan, write_stage
from serving.registry.access import OPEN
from serving.registry.catalogue import Here
from serving.registry.fetch import Fetcher
from serving.registry.part import Situation
from serving.registry.refusals import (
    BelowFloorError,
    ExpiredError,
    MetadataError,
    NotPublishedError,
    OversizedError,
    RevokedError,
    RollbackError,
    UnsignedError,
    WrongStreamError,
)
from serving.registry.rollouts import SignedRollout, part_of, select_for
from serving.registry.trust import TrustedRegistry, exclusive
from tests.kit.bundles.attacker import forge, forge_stages, put_file, stolen
from tests.kit.bundles.publishing import STREAM, bundle_file, make_plan, make_stage

Change = Callable[[Targets], None]
STAGE = stage_target(STREAM, "r1")
PLAN = plan_target(STREAM, "r1")


@dataclass
class Gateway:
    """The client of a gateway, with a folder of its own."""

    registry: Path
    root: Path
    state: Path

    def read(self) -> SignedRollout:
        with exclusive(self.state), Fetcher(access=OPEN) as fetcher:
            found = self.refreshed(fetcher).rollout(STREAM)
        assert found is not None
        return found

    def selects(
        self,
        *,
        gateway: str = "gw1",
        is_quarantined: frozenset[str] = frozenset(),
        **more: str | int | None,
    ) -> int:
        """Number of the bundle that the gateway is to serve."""
        known: dict[str, Any] = more
        situation = Situation(gateway=gateway, **known)
        here = Here(1 << 24, is_quarantined, frozenset({2}))
        with exclusive(self.state), Fetcher(access=OPEN) as fetcher:
            registry = self.refreshed(fetcher)
            signed = registry.rollout(STREAM)
            assert signed is not None
            part = part_of(signed, situation, is_pinned=False)
            return select_for(registry.files(STREAM), signed, part, situation, here).ref.seq

    def refuses(self, kind: type[MillhandError]) -> str:
        with pytest.raises(kind) as caught:
            self.read()
        return caught.value.code

    def lose_cache(self) -> None:
        shutil.rmtree(self.state / "registry")

    def refreshed(self, fetcher: Fetcher) -> TrustedRegistry:
        registry = TrustedRegistry(
            self.registry.as_uri(), self.root, self.state, fetcher=fetcher, here=Here(1 << 24)
        )
        registry.refresh()
        return registry


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path, keys: Keys) -> Path:
    """A registry with two bundles of a stream, and a rollout to the second."""
    registry = tmp_path / "registry"
    repository.init(registry, keys)
    for seq in (1, 2):
        repository.publish(registry, bundle_file(tmp_path, seq), keys)
    publish_plan(registry, make_plan(), keys)
    write_stage(registry, keys, make_stage(1))
    return registry


@pytest.fixture
def gateway(tmp_path: Path, folder: Path, keys: Keys) -> Gateway:
    root = tmp_path / "root.json"
    shutil.copy(keys.root, root)
    return Gateway(folder, root, tmp_path / "state")


def stage_bytes(stage: Stage) -> bytes:
    return stage.model_dump_json().encode()


def test_plan_and_stage_arrive_as_they_were_signed(gateway: Gateway) -> None:
    found = gateway.read()
    assert (found.plan.id, found.plan.seq) == ("r1", 2)
    assert found.stage is not None
    assert (found.stage.epoch, found.stage.stage) == (1, 1)


def test_stream_without_a_plan_has_no_rollout(
    tmp_path: Path, folder: Path, keys: Keys, gateway: Gateway
) -> None:
    repository.publish(folder, bundle_file(tmp_path, 1, "fan"), keys)
    with exclusive(gateway.state), Fetcher(access=OPEN) as fetcher:
        assert gateway.refreshed(fetcher).rollout("fan") is None


def test_plan_that_only_the_online_key_has_signed_is_not_seen(
    folder: Path, keys: Keys, gateway: Gateway
) -> None:
    content = make_plan("r9").model_dump_json().encode()
    forge_stages(
        folder / "metadata",
        stolen(keys),
        lambda stages: put_file(folder, plan_target(STREAM, "r9"), content, stages),
    )
    assert gateway.read().plan.id == "r1"


def test_bundle_that_only_the_online_key_has_signed_is_not_seen(
    folder: Path, keys: Keys, gateway: Gateway
) -> None:
    def add(stages: Targets) -> None:
        put_file(folder, f"bundles/{STREAM}/9/{'0' * 64}.zip", b"PK", stages)

    forge_stages(folder / "metadata", stolen(keys), add)
    with exclusive(gateway.state), Fetcher(access=OPEN) as fetcher:
        registry = gateway.refreshed(fetcher)
        assert registry.select(STREAM).ref.seq == 2


def test_stage_signed_by_another_key_is_refused(folder: Path, keys: Keys, gateway: Gateway) -> None:
    stranger = CryptoSigner.generate_ed25519()
    content = stage_bytes(make_stage(3))

    def change(stages: Targets) -> None:
        put_file(folder, STAGE, content, stages)

    forge_stages(folder / "metadata", stolen(keys), change, signed_by=stranger)
    assert gateway.refuses(UnsignedError) == "unsigned"


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(make_stage(2, stream="fan"), id="another stream"),
        pytest.param(make_stage(2, "r0"), id="another rollout"),
    ],
)
def test_stage_of_something_else_under_this_name_is_refused(
    folder: Path, keys: Keys, gateway: Gateway, stage: Stage
) -> None:
    content = stage_bytes(stage)
    forge_stages(
        folder / "metadata",
        stolen(keys),
        lambda stages: put_file(folder, STAGE, content, stages),
    )
    assert gateway.refuses(WrongStreamError) == "wrong_stream"


@pytest.mark.parametrize("is_cached", [True, False], ids=["cache", "lost cache"])
@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(make_stage(1, epoch=2), id="lower stage"),
        pytest.param(make_stage(3), id="lower epoch"),
    ],
)
def test_older_stage_is_never_obeyed_again(
    folder: Path, keys: Keys, gateway: Gateway, stage: Stage, *, is_cached: bool
) -> None:
    write_stage(folder, keys, make_stage(2, epoch=2))
    gateway.read()
    content = stage_bytes(stage)
    forge_stages(
        folder / "metadata",
        stolen(keys),
        lambda stages: put_file(folder, STAGE, content, stages),
    )
    if not is_cached:
        gateway.lose_cache()
    assert gateway.refuses(RollbackError) == "rollback"


def test_older_copy_of_the_registry_is_refused_after_a_lost_cache(
    folder: Path, keys: Keys, gateway: Gateway
) -> None:
    copy = shutil.copytree(folder, folder.parent / "copy")
    write_stage(folder, keys, make_stage(2))
    gateway.read()
    gateway.lose_cache()
    gateway.registry = copy
    assert gateway.refuses(RollbackError) == "rollback"


def test_another_stage_with_the_same_numbers_is_refused(
    folder: Path, keys: Keys, gateway: Gateway
) -> None:
    gateway.read()
    content = stage_bytes(make_stage(1, state="reverted"))
    forge_stages(
        folder / "metadata",
        stolen(keys),
        lambda stages: put_file(folder, STAGE, content, stages),
    )
    assert gateway.refuses(MetadataError) == "metadata_invalid"


def test_stage_that_is_gone_is_refused(folder: Path, keys: Keys, gateway: Gateway) -> None:
    gateway.read()
    forge_stages(folder / "metadata", stolen(keys), lambda stages: stages.targets.clear())
    assert gateway.refuses(RollbackError) == "rollback"


def test_delegation_that_is_gone_is_refused(folder: Path, keys: Keys, gateway: Gateway) -> None:
    gateway.read()

    def remove(targets: Targets) -> None:
        targets.delegations = None

    forge(folder / "metadata", stolen(keys), remove)
    assert gateway.refuses(RollbackError) == "rollback"


def test_another_plan_goes_on_where_a_thief_has_raised_the_epoch(
    folder: Path, keys: Keys, gateway: Gateway
) -> None:
    content = stage_bytes(make_stage(3, epoch=2**53 - 1))
    forge_stages(
        folder / "metadata",
        stolen(keys),
        lambda stages: put_file(folder, STAGE, content, stages),
    )
    gateway.read()
    repository.rotate(folder, "online", Keys(keys.folder, accepts_restored=True))
    publish_plan(folder, make_plan("r2", supersedes="r1"), keys)
    write_stage(folder, keys, make_stage(1, "r2"))
    found = gateway.read()
    assert found.plan.id == "r2"
    assert found.stage is not None
    assert found.stage.epoch == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b"{", MetadataError, id="no JSON"),
        pytest.param(b"[" * 100_000, MetadataError, id="deeply nested"),
        pytest.param(b"{}", MetadataError, id="no plan"),
        pytest.param(b"{" + b" " * MAX_PLAN_BYTES, OversizedError, id="too long"),
        pytest.param(
            make_plan("r2").model_dump_json().encode(), WrongStreamError, id="another rollout"
        ),
    ],
)
def test_plan_that_cannot_be_used_is_refused(
    folder: Path, keys: Keys, gateway: Gateway, content: bytes, kind: type[MillhandError]
) -> None:
    forge(
        folder / "metadata",
        stolen(keys),
        lambda targets: put_file(folder, PLAN, content, targets),
    )
    assert gateway.refuses(kind) == kind.code


def test_two_plans_of_a_stream_are_refused(folder: Path, keys: Keys, gateway: Gateway) -> None:
    content = make_plan("r2").model_dump_json().encode()
    forge(
        folder / "metadata",
        stolen(keys),
        lambda targets: put_file(folder, plan_target(STREAM, "r2"), content, targets),
    )
    assert gateway.refuses(MetadataError) == "metadata_invalid"


def test_plan_with_other_bytes_than_were_signed_is_refused(folder: Path, gateway: Gateway) -> None:
    (path,) = (folder / "targets/rollouts" / STREAM).iterdir()
    path.write_bytes(path.read_bytes().replace(b'"needed": 0.95', b'"needed": 0.15'))
    with pytest.raises(MillhandError) as caught:
        gateway.read()
    assert caught.value.code == "digest_mismatch"


def test_stages_that_nobody_has_renewed_expire(folder: Path, keys: Keys, gateway: Gateway) -> None:
    def age(stages: Targets) -> None:
        stages.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)

    forge_stages(folder / "metadata", stolen(keys), age)
    assert gateway.refuses(ExpiredError) == "expired"


def test_a_hundred_stages_of_others_change_nothing(
    folder: Path, keys: Keys, gateway: Gateway
) -> None:
    content = stage_bytes(make_stage(3))

    def add(stages: Targets) -> None:
        for number in range(100):
            put_file(folder, stage_target(STREAM, f"x{number}"), content, stages)

    forge_stages(folder / "metadata", stolen(keys), add)
    found = gateway.read()
    assert found.stage is not None
    assert found.stage.stage == 1
    assert len(list((gateway.state / "registry/rollouts").iterdir())) == 2


def test_trust_of_before_rollouts_is_read(gateway: Gateway) -> None:
    gateway.read()
    path = gateway.state / "trust.json"
    fields = json.loads(path.read_bytes())
    assert fields.pop("rollouts")[STREAM]["stage"] == 1
    path.write_text(json.dumps(fields))
    assert gateway.read().stage is not None


def test_gateway_of_an_open_group_takes_the_bundle_and_no_other_does(gateway: Gateway) -> None:
    assert gateway.selects(gateway="gw1", serves=1) == 2
    assert gateway.selects(gateway="gw2", serves=1) == 1
    assert gateway.selects(gateway="gw2", serves=None) == 1
    assert gateway.selects(gateway="", serves=None) == 1


def test_done_rollout_is_for_everybody(folder: Path, keys: Keys, gateway: Gateway) -> None:
    write_stage(folder, keys, make_stage(3, state="done"))
    assert gateway.selects(gateway="gw2", serves=1) == 2
    assert gateway.selects(gateway="", serves=None) == 2


def test_bundle_of_after_the_plan_waits_for_its_end(
    tmp_path: Path, folder: Path, keys: Keys, gateway: Gateway
) -> None:
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    assert gateway.selects(gateway="gw2", serves=1) == 1
    assert gateway.selects(gateway="gw1", serves=1) == 2
    write_stage(folder, keys, make_stage(3, state="done"))
    assert gateway.selects(gateway="gw2", serves=1) == 3


def test_reverted_rollout_gives_each_gateway_its_own_former_bundle(
    tmp_path: Path, folder: Path, keys: Keys, gateway: Gateway
) -> None:
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    publish_plan(folder, make_plan("r2", 3, supersedes="r1"), keys)
    write_stage(folder, keys, make_stage(3, "r2", state="reverted"))
    assert gateway.selects(serves=3, changed_to=3, former=1) == 1
    assert gateway.selects(serves=3, changed_to=3, former=2) == 2
    assert gateway.selects(serves=3) == 2, "by the newest before, where nothing was noted down"
    assert gateway.selects(serves=1) == 1


def test_gateway_that_was_away_returns_from_what_was_reverted(
    tmp_path: Path, folder: Path, keys: Keys, gateway: Gateway
) -> None:
    write_stage(folder, keys, make_stage(2, state="reverted"))
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    publish_plan(folder, make_plan("r2", 3), keys)
    assert gateway.selects(serves=2, changed_to=2, former=1) == 1
    assert gateway.selects(serves=None) == 1, "a new gateway does not take it either"


def test_former_bundle_below_the_floor_is_refused(
    tmp_path: Path, folder: Path, keys: Keys, gateway: Gateway
) -> None:
    repository.publish(folder, bundle_file(tmp_path, 3), keys, floor_seq=2)
    write_stage(folder, keys, make_stage(1, epoch=2, state="reverted"))
    with pytest.raises(BelowFloorError):
        gateway.selects(serves=2, changed_to=2, former=1)


def test_revoked_bundle_of_a_plan_is_refused(folder: Path, keys: Keys, gateway: Gateway) -> None:
    repository.revoke(folder, STREAM, 2, keys)
    with pytest.raises(RevokedError):
        gateway.selects(serves=1)
    assert gateway.selects(gateway="gw2", serves=1) == 1


def test_bundle_that_has_failed_here_is_not_tried_again(folder: Path, gateway: Gateway) -> None:
    (release,) = (one for one in repository.listing(folder) if one.seq == 2)
    assert gateway.selects(serves=1, is_quarantined=frozenset({release.sha256})) == 1


def test_gateway_without_any_bundle_waits_for_its_group(
    tmp_path: Path, keys: Keys, folder: Path, gateway: Gateway
) -> None:
    repository.revoke(folder, STREAM, 1, keys)
    with pytest.raises(NotPublishedError, match="wait for a rollout"):
        gateway.selects(gateway="gw2", serves=None)
    assert tmp_path.exists()


def test_word_of_the_broker_holds_until_a_later_stage_is_signed(
    folder: Path, keys: Keys, gateway: Gateway
) -> None:
    word: dict[str, Any] = {"held": "r1", "held_epoch": 2, "held_stage": 1}
    assert gateway.selects(serves=1, **word) == 1
    assert gateway.selects(serves=2, **word) == 2, "it serves already"
    assert gateway.selects(serves=1, held="r0", held_epoch=2, held_stage=1) == 2
    write_stage(folder, keys, make_stage(2, epoch=2))
    assert gateway.selects(serves=1, **word) == 2


def test_group_by_share_is_a_group_of_everybody(folder: Path, keys: Keys, gateway: Gateway) -> None:
    group = Group(name="all", share=1.0, soak_s=0, mode="serve")
    plan = make_plan("r2", supersedes="r1").model_copy(update={"groups": (group,)})
    publish_plan(folder, plan, keys)
    write_stage(folder, keys, make_stage(1, "r2"))
    assert gateway.selects(gateway="any", serves=1) == 2
