"""A bundle that its publisher has withdrawn does not come back in place of one that fails."""

from pathlib import Path
from typing import Any

import pytest

from serving.publishing import repository
from tests.integration.updates.test_deaths import POISON, STREAM, Plant, good_bundle, running
from tests.kit.bundles.published import Published
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.mqtt_client import push
from tests.kit.waiting import eventually

LEFT_OUT = "WARNING withdrawn bundle is left out"
BAD_S = 60.0


def publish(folder: Path, kind: str, *good: int) -> Published:
    """A registry with good bundles, and a bad one after them."""
    published = Published.create(folder)
    for seq in good:
        published.publish(good_bundle(seq))
    published.publish(evil_bundle(kind, STREAM, good[-1] + 1))
    return published


def hear_of_revocation(plant: Plant, published: Published, seq: int, serving: int) -> None:
    """Withdraw a bundle, and have the gateway look: a push of what serves changes nothing else."""
    repository.revoke(published.folder, STREAM, seq, published.keys)
    activity = push(plant.client, STREAM, serving)

    def is_told() -> bool:
        told = plant.client.documents("feedback")
        return any((one["activity"], one["state"]) == (activity, "activated") for one in told)

    eventually(is_told, BAD_S, f"the push to be confirmed:\n{plant.gateway.log}")


def answers_until(plant: Plant, seq: int) -> list[dict[str, Any]]:
    """Send what the model fails of until another bundle answers; returns all answers."""
    answers: list[dict[str, Any]] = []

    def is_replaced() -> bool:
        answers.extend(plant.wait_for(plant.send(POISON)))
        return bool(answers[-1]["seq"] == seq)

    eventually(is_replaced, BAD_S, f"seq {seq} to answer:\n{plant.gateway.log}")
    return answers


@pytest.mark.parametrize("kind", ["error above 70", "crash above 70"])
def test_bundle_before_a_withdrawn_one_serves_instead_of_one_that_fails(
    tmp_path: Path, kind: str
) -> None:
    published = publish(tmp_path, kind, 1, 2)
    kept = (good_bundle(1), good_bundle(2), evil_bundle(kind, STREAM, 3))
    with running(tmp_path, *kept, registry=published) as plant:
        hear_of_revocation(plant, published, 2, serving=3)
        answers = answers_until(plant, 1)
        assert {one["seq"] for one in answers} <= {1, 3}
        assert (answers[-1]["value"], answers[-1]["quality"]) == (POISON, "GOOD")
        assert LEFT_OUT in plant.gateway.log


def test_withdrawn_bundle_does_not_serve_though_there_is_no_other(tmp_path: Path) -> None:
    kind = "error above 70"
    published = publish(tmp_path, kind, 1)
    kept = (good_bundle(1), evil_bundle(kind, STREAM, 2))
    with running(tmp_path, *kept, registry=published) as plant:
        hear_of_revocation(plant, published, 1, serving=2)

        def is_degraded() -> bool:
            (answer,) = plant.wait_for(plant.send(POISON))
            assert (answer["seq"], answer["quality"]) == (2, "BAD")
            return plant.current().get("state") == "degraded"

        eventually(is_degraded, BAD_S, f"the failing bundle to be told:\n{plant.gateway.log}")
        assert plant.wait_for(plant.send(1.0))[0]["seq"] == 2
