"""The plans of the demo of rollouts: signed as they are, with blocks as long as bundles say."""

from pathlib import Path

import pytest

from demo.errors import DemoError
from demo.rollout.publisher import Publisher
from demo.rollout.scenario import SITES
from demo.workshop import Workshop
from models.bundle.correlation import Correlation, CorrelationTime
from models.bundle.package import write_bundle
from models.bundle.reference import write_reference
from server.rollouts.planning import hours_to_show, read_plan
from tests.kit.bundles.factories import make_manifest, make_members
from tests.kit.undisturbed import CHANNELS, repeating, samples
from trainer.drift.reference import describe

FORMER, OWN = 1, 2


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(Workshop(tmp_path, 1883, 24))


def make_bundles(work: Path, *remembered_s: float) -> None:
    """Bundles 1, 2 and so on, of plants that remember for so many seconds; 0: not known."""
    (work / "bundles").mkdir()
    reference = describe(samples(repeating(0.0, 1000, 0)), CHANNELS, None)
    for seq, seconds in enumerate(remembered_s, 1):
        time = CorrelationTime(windows=5, seconds=seconds or None, is_bound=not seconds)
        told = reference.model_copy(update={"correlation": Correlation(answer=time)})
        manifest = make_manifest(seq=seq, channels=CHANNELS)
        members = make_members(manifest) | {"reference.json": write_reference(told)}
        write_bundle(work / f"bundles/pump-health-{seq}.zip", manifest, members)


def test_block_is_the_longer_memory_of_both_bundles(publisher: Publisher, tmp_path: Path) -> None:
    make_bundles(tmp_path, 3.0, 4.5)
    assert publisher.block_s(OWN) == 4.5


def test_bundle_that_does_not_tell_its_memory_is_named(
    publisher: Publisher, tmp_path: Path
) -> None:
    make_bundles(tmp_path, 3.0, 0.0)
    with pytest.raises(DemoError, match=f"bundle {OWN} "):
        publisher.block_s(OWN)


def test_plan_can_be_read_and_shown_within_minutes(publisher: Publisher, tmp_path: Path) -> None:
    step = publisher.plan(OWN, 4.0)
    path = tmp_path / f"plan-{OWN}.toml"
    plan = read_plan(path)
    assert str(path) in step.command
    assert [group.name for group in plan.groups] == ["first", "rest"]
    assert plan.groups[0].gateways == (SITES[0],)
    assert plan.gates.block_s == 4.0
    assert hours_to_show(plan, 4.0) < 2 / 60


def test_versions_differ_by_their_days_and_labels_alone(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.make()
    former, good, bad = ((tmp_path / f"recipe-{seq}.toml").read_text() for seq in (1, 2, 3))
    more = good.replace(', "history/day-2.csv"', "").replace('"1.1.0"', '"1.0.0"')
    assert more == former
    assert bad == good.replace("history/", "mistaken/").replace('"1.1.0"', '"1.2.0"')
