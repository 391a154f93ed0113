"""The agent proves bundles with no more system calls than its unit allows, limits included."""

import json
from pathlib import Path

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import python
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.gateway.sandbox import allowed
from tests.kit.waiting import eventually

UNIT = Path(__file__).parents[3] / "systemd" / "millhand-agent.service"


def test_unit_allows_what_limits_a_child_and_little_else() -> None:
    names = allowed(UNIT)
    assert "prlimit64" in names
    assert not {"setrlimit", "setpriority", "ptrace", "mount", "chown", "init_module"} & names


def test_bundles_are_proven_and_refused_under_the_filter(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0]))
    published.publish(evil_bundle("memory at golden", "mass", 2))
    sandboxed = [*python("tests.kit.gateway.sandbox", UNIT)]
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["millhand/gw1/#"]) as client,
        Gateway(
            tmp_path / "gw",
            broker.port,
            [telemetry_pipeline("mass")],
            registry=published.url,
            root=published.keys.root,
            under=sandboxed,
        ) as gateway,
    ):
        gateway.start_serving()
        for seq, state, error in ((1, "activated", ""), (2, "refused", "proof_memory")):
            activity = push(client, "mass", seq)

            def outcome(activity: str = activity, state: str = state) -> list[dict[str, object]]:
                told = client.documents("feedback")
                return [one for one in told if (one["activity"], one["state"]) == (activity, state)]

            (told,) = eventually(outcome, 30, f"{state} in:\n{gateway.log}")
            assert told.get("error", "") == error, json.dumps(told)
