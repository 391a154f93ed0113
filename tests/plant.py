"""A plant in small: a gateway that answers, and a client that is its sensors and its SCADA."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.gateway import Gateway, telemetry_pipeline
from tests.graphs import linear_bundle
from tests.mqtt_client import PlantClient
from tests.waiting import eventually

STREAM = "mass"
TOPIC = "plant/l1/p1/telemetry"
FILTERS = ("plant/+/+/_inference/#", "millhand/gw1/#")
BASE_MS = 1_700_000_000_000
OFTEN: dict[str, dict[str, object]] = {"limits": {"metrics_s": 0.1}}
"""Counters at every tick of the agent, which is a second."""

MASS = linear_bundle(STREAM, 1, [1.0, 10.0])
MASS_PIPELINE = telemetry_pipeline(STREAM)


class Plant:
    """Sends numbered rows of one pump to a gateway that runs `MASS`, and checks the answers.

    Args:
        gateway: runs, or is to run.
        client: hears everything under `FILTERS`.

    Attributes:
        sent: rows so far.
    """

    def __init__(self, gateway: Gateway, client: PlantClient) -> None:
        self.gateway = gateway
        self.client = client
        self.sent = 0

    def send(self, count: int = 1) -> None:
        """Publish rows that are answered with their number modulo 100, plus 10."""
        for number in range(self.sent, self.sent + count):
            row = {"ts": BASE_MS + number, "c0": float(number % 100), "c1": 1.0}
            self.client.publish(TOPIC, row)
        self.sent += count

    def wait_for_answers(self, timeout_s: float = 20.0) -> list[dict[str, Any]]:
        """Wait until every row is answered: each once, in order, with the right value."""
        eventually(
            lambda: len(self.answers) >= self.sent,
            timeout_s,
            f"{self.sent} answers\n{self.gateway.log}",
        )
        answers = self.answers
        numbers = range(self.sent)
        assert [one["timestamp"] for one in answers] == [BASE_MS + number for number in numbers]
        assert [one["value"] for one in answers] == [number % 100 + 10.0 for number in numbers]
        return answers

    @property
    def answers(self) -> list[dict[str, Any]]:
        """Every prediction so far."""
        return self.client.documents("_inference")

    def wait_until_online(self) -> None:
        """Wait until the agent says so: on one connection that comes after its subscriptions."""
        eventually(
            lambda: (self.client.latest("millhand/gw1/status") or {}).get("state") == "online",
            message=f"the agent to be online\n{self.gateway.log}",
        )

    def wait_for_metrics(self, **wanted: object) -> dict[str, Any]:
        """Wait until the counters are as wanted; all that were ever told must balance."""

        def latest() -> dict[str, Any]:
            return self.client.latest("millhand/gw1/metrics") or {}

        eventually(
            lambda: wanted.items() <= latest().items(),
            message=f"{wanted}, the counters are {latest()}\n{self.gateway.log}",
        )
        for told in self.client.documents("millhand/gw1/metrics"):
            assert_balanced(told)
        return latest()

    def wait_for_feedback(self, **wanted: object) -> dict[str, Any]:
        """Wait for a word on `feedback` of which all this is true."""

        def told() -> list[dict[str, Any]]:
            words = self.client.documents("millhand/gw1/feedback")
            return [word for word in words if wanted.items() <= word.items()]

        return eventually(told, 20, f"{wanted} on feedback\n{self.gateway.log}")[0]


def assert_balanced(metrics: dict[str, Any]) -> None:
    """Whatever was received has come to one end or waits."""
    ends = metrics["predicted"] + metrics["windowed"] + sum(metrics["dropped"].values())
    assert metrics["received"] == ends + metrics["waiting"], metrics


@contextmanager
def serving(gateway: Gateway) -> Iterator[Plant]:
    """Run a gateway until the context is left; it is online, and its client hears it."""
    with PlantClient(gateway.port, FILTERS) as client, gateway:
        gateway.start_serving()
        plant = Plant(gateway, client)
        plant.wait_until_online()
        yield plant
