"""The bundle that a new one is compared with."""

from pathlib import Path

import pytest

from server.retraining.errors import RetrainingError
from server.retraining.evidence.champion import champion_of, next_seq
from server.retraining.proposal import Witness
from serving.publishing import repository
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.rollouts.retraining import STREAM, Plant


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    plant = Plant(tmp_path)
    plant.published.publish(make_bundle(make_manifest(stream=STREAM, seq=2)))
    plant.published.publish(make_bundle(make_manifest(stream=STREAM, seq=3)))
    return plant


def serving(plant: Plant, gateway: str, seq: int) -> Witness:
    found = {one.seq: one.sha256 for one in repository.listing(plant.published.folder)}
    return Witness(gateway=gateway, seq=seq, sha256=found.get(seq, "f" * 64))


def test_bundle_that_most_gateways_serve_is_the_champion(plant: Plant) -> None:
    said = [serving(plant, "gw1", 2), serving(plant, "gw2", 2), serving(plant, "gw3", 3)]
    found = champion_of(plant.published.folder, STREAM, said)
    assert found is not None
    assert found.bundle.seq == 2
    assert next_seq(plant.published.folder, STREAM) == 4


def test_word_of_a_gateway_chooses_only_among_what_is_published_and_not_revoked(
    plant: Plant,
) -> None:
    foreign = champion_of(plant.published.folder, STREAM, [serving(plant, "gw1", 9)])
    revoked = serving(plant, "gw1", 3)
    repository.revoke(plant.published.folder, STREAM, 3, plant.published.keys)
    after = champion_of(plant.published.folder, STREAM, [revoked])
    assert foreign is not None
    assert after is not None
    assert (foreign.bundle.seq, after.bundle.seq) == (3, 2)


def test_stream_without_a_bundle_has_no_champion(plant: Plant) -> None:
    assert champion_of(plant.published.folder, "other", []) is None
    assert next_seq(plant.published.folder, "other") == 1


def test_bundle_that_is_not_what_was_signed_is_no_champion(plant: Plant) -> None:
    found = champion_of(plant.published.folder, STREAM, [])
    assert found is not None
    found.path.write_bytes(make_bundle(make_manifest(stream=STREAM, seq=7)).content)
    with pytest.raises(RetrainingError) as refused:
        champion_of(plant.published.folder, STREAM, [])
    assert refused.value.reason == "registry_unreadable"
