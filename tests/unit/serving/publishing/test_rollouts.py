"""Plans and stages in a registry: what is signed by which key, and what is refused."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.bundle.package import read_bundle
from models.rollout.plan import Group
from models.rollout.stage import Stage
from serving.publishing import joint_signing, repository, rollouts
from serving.publishing.keys import Keys, KeysError
from serving.publishing.publication import Role
from serving.publishing.releases import RegistryError
from serving.publishing.rollouts import Rollout, publish_plan, read_rollouts, write_stage
from serving.publishing.seal_record import RolledBackError
from tests.kit.bundles.publishing import STREAM, bundle_file, make_plan, make_stage, split_keys
from tests.kit.children import ROOT
from tests.kit.waiting import eventually


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path, keys: Keys) -> Path:
    """A registry with two bundles of a stream, and a plan for the second one."""
    repository.init(tmp_path / "registry", keys)
    for seq in (1, 2):
        repository.publish(tmp_path / "registry", bundle_file(tmp_path, seq), keys)
    publish_plan(tmp_path / "registry", make_plan(), keys)
    return tmp_path / "registry"


@pytest.fixture
def controller(tmp_path: Path, folder: Path, keys: Keys) -> Keys:
    """The keys of a controller: the online key, and no other."""
    assert folder.is_dir()
    return split_keys(keys, tmp_path / "controller", "online")


def only(folder: Path, keys: Keys) -> Rollout:
    (found,) = read_rollouts(folder, keys)
    return found


def newest(folder: Path, role: str) -> Path:
    paths = (folder / "metadata").glob(f"*.{role}.json")
    return max(paths, key=lambda path: int(path.name.partition(".")[0]))


def test_controller_writes_stages_with_the_online_key_alone(
    folder: Path, keys: Keys, controller: Keys
) -> None:
    assert only(folder, keys).stage is None
    first, second = make_stage(0), make_stage(1)
    write_stage(folder, controller, first)
    write_stage(folder, controller, second)
    assert only(folder, keys).stage == only(folder, controller).stage == second


def test_publisher_goes_on_from_what_the_controller_has_signed(
    tmp_path: Path, folder: Path, keys: Keys, controller: Keys
) -> None:
    write_stage(folder, controller, make_stage(1))
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    write_stage(folder, controller, make_stage(2))
    assert only(folder, keys).stage is not None
    sealed = json.loads(keys.sealed.read_bytes())["roles"]
    assert sealed["stages"]["version"] == int(newest(folder, "stages").name.partition(".")[0])


def test_stage_is_not_undone_by_an_older_copy_of_the_folder(folder: Path, controller: Keys) -> None:
    copy = shutil.copytree(folder, folder.parent / "copy")
    write_stage(folder, controller, make_stage(1))
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    with pytest.raises(RolledBackError):
        write_stage(folder, controller, make_stage(1))
    with pytest.raises(RolledBackError):
        repository.refresh(folder, controller)
    assert repository.listing(folder)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        pytest.param(make_stage(0), "do not follow", id="lower stage"),
        pytest.param(make_stage(2, epoch=0), "do not follow", id="lower epoch"),
        pytest.param(make_stage(1, state="held"), "do not follow", id="same numbers"),
        pytest.param(make_stage(4), "has 3 steps", id="beyond the plan"),
        pytest.param(make_stage(2, "r2"), "no plan of r2", id="another rollout"),
        pytest.param(make_stage(2, stream="fan"), "no rollout of fan", id="another stream"),
    ],
)
def test_stage_that_gateways_would_not_obey_is_refused(
    folder: Path, controller: Keys, stage: Stage, message: str
) -> None:
    write_stage(folder, controller, make_stage(1))
    before = newest(folder, "stages").read_bytes()
    with pytest.raises(RegistryError, match=message):
        write_stage(folder, controller, stage)
    assert newest(folder, "stages").read_bytes() == before


def test_same_stage_twice_is_once(folder: Path, controller: Keys) -> None:
    stage = make_stage(1)
    write_stage(folder, controller, stage)
    before = (folder / "metadata/timestamp.json").read_bytes()
    write_stage(folder, controller, stage)
    assert (folder / "metadata/timestamp.json").read_bytes() == before


def test_controller_without_the_online_key_signs_no_stage(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    publisher = split_keys(keys, tmp_path / "publisher", "targets")
    with pytest.raises(KeysError, match="online"):
        write_stage(folder, publisher, make_stage(1))


def test_controller_cannot_sign_a_plan(folder: Path, controller: Keys) -> None:
    with pytest.raises(KeysError, match="targets"):
        publish_plan(folder, make_plan("r2", supersedes="r1"), controller)


def test_a_bundle_that_is_published_already_need_not_be_given(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    write_stage(folder, keys, make_stage(3, state="done"))
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    bundle = read_bundle(bundle_file(tmp_path, 3).read_bytes())
    with pytest.raises(RegistryError, match=r"published already.*leave out --bundle"):
        publish_plan(folder, make_plan("r2", 3), keys, bundle=bundle)
    publish_plan(folder, make_plan("r2", 3), keys)
    assert only(folder, keys).plan.id == "r2"


def test_bundle_and_plan_are_signed_at_once(tmp_path: Path, folder: Path, keys: Keys) -> None:
    write_stage(folder, keys, make_stage(3, state="done"))
    before = int(newest(folder, "targets").name.partition(".")[0])
    bundle = read_bundle(bundle_file(tmp_path, 3).read_bytes())
    publish_plan(folder, make_plan("r2", 3), keys, bundle=bundle)
    assert only(folder, keys).plan.seq == 3
    assert [release.seq for release in repository.listing(folder)] == [1, 2, 3]
    assert int(newest(folder, "targets").name.partition(".")[0]) == before + 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param({"seq": 7}, "has no seq 7", id="unknown bundle"),
        pytest.param({"seq": 1}, "is not the newest", id="not the newest"),
        pytest.param({"stream": "fan"}, "fan has no seq 2", id="unknown stream"),
        pytest.param(
            {"deadline": datetime.now(UTC) - timedelta(days=1)}, "deadline", id="deadline is over"
        ),
        pytest.param(
            {"groups": (Group(name="all", share=1.0, soak_s=7 * 86_400),)},
            "deadline",
            id="soaks for longer than the deadline",
        ),
        pytest.param({}, "under way", id="second rollout"),
        pytest.param({"supersedes": "r0"}, "the last rollout of", id="supersedes another one"),
        pytest.param({"id": "r1", "supersedes": None}, "under way", id="id was used"),
    ],
)
def test_plan_that_cannot_be_meant_is_refused(
    folder: Path, keys: Keys, more: dict[str, object], message: str
) -> None:
    with pytest.raises(RegistryError, match=message):
        publish_plan(folder, make_plan("r2").model_copy(update=more), keys)
    assert only(folder, keys).plan.id == "r1"


def test_plan_of_a_revoked_bundle_is_refused(folder: Path, keys: Keys) -> None:
    repository.revoke(folder, STREAM, 2, keys)
    with pytest.raises(RegistryError, match="was revoked"):
        publish_plan(folder, make_plan("r2", supersedes="r1"), keys)


def test_id_of_a_former_rollout_is_refused(folder: Path, keys: Keys) -> None:
    publish_plan(folder, make_plan("r2", supersedes="r1"), keys)
    with pytest.raises(RegistryError, match="choose another id"):
        publish_plan(folder, make_plan("r1", supersedes="r2", max_failed=3), keys)


def test_id_that_ends_like_a_former_one_is_another(folder: Path, keys: Keys) -> None:
    publish_plan(folder, make_plan("new.r2", supersedes="r1"), keys)
    publish_plan(folder, make_plan("r2", supersedes="new.r2", max_failed=3), keys)
    assert only(folder, keys).plan.id == "r2"


def test_plan_that_supersedes_another_takes_its_place(folder: Path, keys: Keys) -> None:
    write_stage(folder, keys, make_stage(1))
    publish_plan(folder, make_plan("r2", supersedes="r1"), keys)
    assert only(folder, keys) == Rollout(only(folder, keys).plan, None)
    with pytest.raises(RegistryError, match="no plan of r1"):
        write_stage(folder, keys, make_stage(2))
    write_stage(folder, keys, make_stage(1, "r2"))
    signed = json.loads(newest(folder, "stages").read_bytes())["signed"]
    assert list(signed["targets"]) == [f"stages/{STREAM}/r2.json"]


def test_next_plan_says_which_bundles_were_reverted(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    write_stage(folder, keys, make_stage(1, state="reverted"))
    repository.publish(folder, bundle_file(tmp_path, 3), keys)
    publish_plan(folder, make_plan("r2", 3), keys)
    targets = json.loads(newest(folder, "targets").read_bytes())["signed"]["targets"]
    assert targets[f"rollouts/{STREAM}/r2.json"]["custom"] == {"reverted": [2]}


def test_only_the_newest_files_of_stages_are_kept(folder: Path, controller: Keys) -> None:
    for epoch in range(1, 15):
        write_stage(folder, controller, make_stage(1, epoch=epoch))
    files = list((folder / "targets/stages" / STREAM).iterdir())
    assert len(files) == rollouts.KEPT_STAGES
    assert len(list((folder / "metadata").glob("*.stages.json"))) <= 10


@pytest.mark.parametrize("role", ["online", "targets"])
def test_stages_are_signed_after_a_rotation(folder: Path, keys: Keys, role: Role) -> None:
    write_stage(folder, keys, make_stage(1))
    repository.rotate(folder, role, keys)
    write_stage(folder, keys, make_stage(2))
    found = only(folder, keys).stage
    assert found is not None
    assert found.stage == 2


def test_former_online_key_signs_no_stage(folder: Path, keys: Keys, controller: Keys) -> None:
    repository.rotate(folder, "online", keys)
    with pytest.raises(KeysError, match="online"):
        write_stage(folder, controller, make_stage(1))


def test_key_is_renewed_by_whoever_holds_the_targets_key(
    tmp_path: Path, folder: Path, keys: Keys
) -> None:
    write_stage(folder, keys, make_stage(1))
    owner = split_keys(keys, tmp_path / "owner", "root")
    repository.rotate(folder, "online", owner)
    with pytest.raises(KeysError, match="registry refresh"):
        write_stage(folder, owner, make_stage(2))
    for path in owner.folder.glob("online-*.pem"):
        shutil.copy(path, keys.folder)
    repository.refresh(folder, keys)
    write_stage(folder, owner, make_stage(2))
    assert only(folder, keys).stage is not None


def test_plan_is_signed_by_two_people(tmp_path: Path) -> None:
    keys, folder = Keys(tmp_path / "keys"), tmp_path / "registry"
    repository.init(folder, keys, targets_keys=2, targets_threshold=2)
    repository.publish(folder, bundle_file(tmp_path, 2), keys)
    names = sorted(path.name.removesuffix(".pem") for path in keys.folder.glob("targets-*.pem"))
    first = split_keys(keys, tmp_path / "first", names[0])
    second = split_keys(keys, tmp_path / "second", names[1], "online")
    assert publish_plan(folder, make_plan(), first).missing == 1
    assert read_rollouts(folder, keys) == ()
    found = joint_signing.waiting(folder, second)
    assert any("rollout r1" in change for change in found.changes)
    assert joint_signing.sign(folder, found, second).is_published
    write_stage(folder, second, make_stage(1))
    assert only(folder, keys).stage is not None


def test_restored_registry_keeps_its_stages(folder: Path, keys: Keys) -> None:
    copy = shutil.copytree(folder, folder.parent / "copy")
    write_stage(folder, keys, make_stage(1))
    version = int(newest(folder, "stages").name.partition(".")[0])
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    repository.refresh(folder, Keys(keys.folder, accepts_restored=True))
    assert int(newest(folder, "stages").name.partition(".")[0]) > version
    write_stage(folder, keys, make_stage(1))
    assert only(folder, keys).stage is not None


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda folder, keys: write_stage(folder, keys, make_stage(1)), id="stage"),
        pytest.param(repository.refresh, id="refresh"),
    ],
)
def test_forged_list_of_stages_is_never_signed_anew(
    folder: Path, keys: Keys, act: Callable[[Path, Keys], object]
) -> None:
    path = newest(folder, "stages")
    forged = path.read_bytes().replace(b'"targets":{}', b'"targets":{} ')
    assert forged != path.read_bytes()
    path.write_bytes(forged)
    with pytest.raises(RegistryError, match="exchanged"):
        act(folder, keys)


_WRITES_FOR_EVER = """
import sys
from pathlib import Path
from itertools import count
from serving.publishing.keys import Keys
from serving.publishing.rollouts import write_stage
from tests.kit.bundles.publishing import make_stage
for epoch in count(int(sys.argv[3])):
    write_stage(Path(sys.argv[1]), Keys(Path(sys.argv[2])), make_stage(1, epoch=epoch))
"""


def test_controller_that_is_killed_leaves_the_former_stage_or_the_new_one(
    folder: Path, keys: Keys, controller: Keys
) -> None:
    known = 0
    for _ in range(3):
        arguments = [str(folder), str(controller.folder), str(known + 1)]
        code = [sys.executable, "-c", _WRITES_FOR_EVER, *arguments]
        timestamp = folder / "metadata/timestamp.json"
        before = timestamp.read_bytes()
        with subprocess.Popen(code, cwd=ROOT) as child:
            eventually(lambda: timestamp.read_bytes() != before, 30, "a stage")  # noqa: B023  at once
            child.kill()
        found = only(folder, keys).stage
        assert found is not None
        assert found.epoch > known
        assert only(folder, controller).stage == found
        known = found.epoch
    write_stage(folder, controller, make_stage(1, epoch=known + 1))
    assert repository.refresh(folder, keys).missing == 0
