"""What must never run: each refused with a code of its own, and the running model untouched."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from models.bundle.package import Bundle
from serving.publishing import repository
from serving.publishing.releases import Release
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.attacker import put_file, stolen
from tests.kit.bundles.forgery import forging
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.waiting import eventually

WEIGHTS = [1.0, 10.0]


@dataclass
class Plant:
    """A gateway that serves seq 1, and a SCADA system that sees everything."""

    gateway: Gateway
    published: Published
    client: PlantClient
    rows: int = 0

    def refusal_of(self, seq: int, stream: str = "mass") -> dict[str, Any]:
        """Push a bundle, and wait for the word that it is not to be."""
        activity = push(self.client, stream, seq)

        def refusals() -> list[dict[str, Any]]:
            told = self.client.documents("feedback")
            return [one for one in told if one["activity"] == activity and "error" in one]

        return eventually(refusals, 20, f"a refusal on feedback:\n{self.gateway.log}")[0]

    def assert_seq_1_serves(self) -> None:
        """Its model still answers, and `current` names it."""
        self.rows += 1
        row = {"ts": 1_700_000_000_000 + self.rows, "c0": 1.0, "c1": 2.0}
        self.client.publish("plant/l1/p1/telemetry", row)
        answer = self.client.wait_for("_inference", self.rows)[-1]
        assert (answer["seq"], answer["value"], answer["quality"]) == (1, 21.0, "GOOD")
        assert self.client.documents("current/mass")[-1]["seq"] == 1


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, WEIGHTS))
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["plant/+/+/_inference/#", "millhand/gw1/#"]) as client,
        Gateway(
            tmp_path / "gw",
            broker.port,
            [telemetry_pipeline("mass")],
            registry=published.url,
            root=published.keys.root,
        ) as gateway,
    ):
        gateway.start_serving()
        running = Plant(gateway, published, client)
        push(client, "mass", 1)
        eventually(
            lambda: any(d["seq"] == 1 and d["activity"] for d in client.documents("current/mass"))
        )
        running.assert_seq_1_serves()
        yield running
        running.assert_seq_1_serves()


def test_changed_byte_is_refused(plant: Plant) -> None:
    release = plant.published.publish(linear_bundle("mass", 2, WEIGHTS))
    path = plant.published.bundle_path(release)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)
    assert plant.refusal_of(2)["error"] == "digest_mismatch"


def test_unsigned_bundle_is_refused(plant: Plant) -> None:
    bundle = linear_bundle("mass", 2, WEIGHTS)
    folder = plant.published.folder / "targets" / "bundles" / "mass" / "2"
    folder.mkdir(parents=True)
    (folder / f"{bundle.sha256}.zip").write_bytes(bundle.content)
    assert plant.refusal_of(2)["error"] == "not_published"


def test_metadata_signed_by_a_stranger_is_refused(plant: Plant, tmp_path: Path) -> None:
    stranger = Published.create(tmp_path / "stranger")
    stranger.publish(linear_bundle("mass", 1, WEIGHTS))
    stranger.publish(linear_bundle("mass", 2, WEIGHTS))
    stranger.publish(linear_bundle("mass", 3, WEIGHTS))
    metadata = plant.published.folder / "metadata"
    for path in (stranger.folder / "metadata").glob("*"):
        if "root" not in path.name:
            shutil.copy(path, metadata / path.name)
    assert plant.refusal_of(2)["error"] == "unsigned"


def test_older_metadata_set_is_refused(plant: Plant, tmp_path: Path) -> None:
    plant.published.publish(linear_bundle("mass", 2, WEIGHTS))
    older = tmp_path / "older"
    shutil.copytree(plant.published.folder / "metadata", older)
    plant.published.publish(linear_bundle("mass", 3, WEIGHTS, bias=1.0))
    plant.refusal_of(99)  # by now the newer set has been seen
    shutil.rmtree(plant.published.folder / "metadata")
    shutil.copytree(older, plant.published.folder / "metadata")
    assert plant.refusal_of(2)["error"] == "rollback"


def test_bundle_of_another_stream_is_refused(plant: Plant) -> None:
    plant.published.publish(linear_bundle("flow", 2, WEIGHTS))
    assert plant.refusal_of(2)["error"] == "not_published"


def test_bundle_whose_inside_names_another_stream_is_refused(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    _publish_as(plant, linear_bundle("flow", 2, WEIGHTS), monkeypatch, stream="mass")
    assert plant.refusal_of(2)["error"] == "incompatible"


def test_model_that_fails_its_golden_vectors_is_refused(plant: Plant) -> None:
    plant.published.publish(linear_bundle("mass", 2, WEIGHTS, golden_wrong=True))
    assert plant.refusal_of(2)["error"] == "golden_mismatch"


def test_model_that_needs_other_signals_is_refused(plant: Plant) -> None:
    plant.gateway.stop()
    plant.gateway.pipelines = [
        telemetry_pipeline("mass", signals={"c0": "c0", "c1": "c1"}),
    ]
    plant.gateway.start_serving()
    plant.published.publish(linear_bundle("mass", 2, [1.0, 2.0, 3.0]))
    refused = plant.refusal_of(2)
    assert refused["error"] == "incompatible"
    assert "c2" in refused["message"]


def test_revoked_bundle_is_refused(plant: Plant) -> None:
    plant.published.publish(linear_bundle("mass", 2, WEIGHTS))
    repository.revoke(plant.published.folder, "mass", 2, plant.published.keys)
    assert plant.refusal_of(2)["error"] == "revoked"


def test_gateway_whose_stream_gets_a_list_of_its_own_refuses_what_is_wrong_with_it(
    plant: Plant,
) -> None:
    folder, keys = plant.published.folder, plant.published.keys
    plant.published.publish(linear_bundle("mass", 2, WEIGHTS))
    repository.delegate(folder, keys)
    repository.revoke(folder, "mass", 2, keys)
    assert plant.refusal_of(2)["error"] == "revoked"
    before = shutil.copytree(folder / "metadata", folder.parent / "before")
    plant.published.publish(linear_bundle("mass", 3, WEIGHTS, bias=1.0))
    (path,) = set((folder / "metadata").glob("*.bundles.mass.json")) - {
        folder / "metadata" / path.name for path in before.iterdir()
    }
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"revoked":true', b'"revoked":null'))
    assert plant.refusal_of(3)["error"] == "digest_mismatch"
    path.write_bytes(content)
    with forging(folder / "metadata", stolen(keys)) as forgery:
        put_file(folder, "bundles/flow/3/x.zip", b"", forgery.list_of("mass"))
    assert plant.refusal_of(3)["error"] == "wrong_stream"
    shutil.rmtree(folder / "metadata")
    shutil.copytree(before, folder / "metadata")
    assert plant.refusal_of(2)["error"] == "rollback"


def _publish_as(
    plant: Plant, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, *, stream: str
) -> None:
    """Have the publisher sign a bundle as another stream's, by mistake or malice."""
    honest: Callable[..., Release] = Release.from_bundle

    def mistaken(bundle: Bundle, floor_seq: int | None) -> Release:
        relabelled = bundle.manifest.model_copy(update={"stream": stream})
        return honest(replace(bundle, manifest=relabelled), floor_seq)

    monkeypatch.setattr(Release, "from_bundle", mistaken)
    plant.published.publish(bundle)
