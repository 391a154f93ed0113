"""A small plant: a gateway, and a client that is both its sensors and its SCADA system."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from models.control.topics import ControlTopics
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

T = TypeVar("T")

STREAM = "mass"
TOPIC = "plant/l1/p1/telemetry"
CONTROL = ControlTopics("gw1")
FILTERS = ("plant/+/+/_inference/#", f"{CONTROL.base}/#")
BASE_MS = 1_700_000_000_000
OFTEN: dict[str, object] = {"metrics_s": 0.1}
"""Limits with which the agent publishes its counters as often as it can, once a second."""

MASS = linear_bundle(STREAM, 1, [1.0, 10.0])
MASS_PIPELINE = telemetry_pipeline(STREAM)


class Plant:
    """Publishes numbered rows of one pump to a gateway that serves `MASS`, and checks the answers.

    Args:
        gateway: the gateway; it may be started later.
        client: client that has subscribed to `FILTERS`.

    Attributes:
        sent: number of rows so far.
    """

    def __init__(self, gateway: Gateway, client: PlantClient) -> None:
        self.gateway = gateway
        self.client = client
        self.sent = 0

    def send(self, count: int = 1) -> None:
        """Publish rows; the answer to each is its number modulo 100, plus 10."""
        for number in range(self.sent, self.sent + count):
            row = {"ts": BASE_MS + number, "c0": float(number % 100), "c1": 1.0}
            self.client.publish(TOPIC, row)
        self.sent += count

    def wait_for_answers(self) -> list[dict[str, Any]]:
        """Wait until every row is answered, and check that each is once, in order and right."""
        self.wait(lambda: self.client.count("_inference") >= self.sent, f"{self.sent} answers")
        answers = self.client.documents("_inference")
        numbers = [one["timestamp"] - BASE_MS for one in answers]
        wrong = [(at, number) for at, number in enumerate(numbers) if at != number]
        assert not wrong, f"answer {wrong[0][0]} is to row {wrong[0][1]}; {len(answers)} answers"
        assert [one["value"] for one in answers] == [number % 100 + 10.0 for number in numbers]
        return answers

    def wait_until_online(self) -> None:
        """Wait for the status `online`, which the agent publishes after its subscriptions."""
        self.wait(
            lambda: (self.client.latest(CONTROL.status) or {}).get("state") == "online",
            "the agent to be online",
        )

    def wait_for_metrics(self, **wanted: object) -> dict[str, Any]:
        """Wait until the counters have these values; check that all counters so far balance."""
        topic = CONTROL.metrics
        self.wait(
            lambda: wanted.items() <= (self.client.latest(topic) or {}).items(),
            f"metrics with {wanted}",
        )
        published = self.client.documents(topic)
        for metrics in published:
            assert_balanced(metrics)
        return published[-1]

    def wait_for_feedback(self, **wanted: object) -> dict[str, Any]:
        """Wait for a `feedback` document with these values."""

        def found() -> list[dict[str, Any]]:
            documents = self.client.documents(CONTROL.feedback)
            return [one for one in documents if wanted.items() <= one.items()]

        return self.wait(found, f"feedback with {wanted}")[0]

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """Wait for a condition; an error gets the log and the latest counters as notes."""
        try:
            return eventually(condition, 20, what)
        except AssertionError as error:
            error.add_note(f"log:\n{self.gateway.log}")
            error.add_note(f"metrics: {self.client.latest('millhand/gw1/metrics')}")
            raise


def assert_balanced(metrics: dict[str, Any]) -> None:
    """Check that all received messages are counted in exactly one place."""
    ends = metrics["predicted"] + metrics["windowed"] + sum(metrics["dropped"].values())
    assert metrics["received"] == ends + metrics["waiting"], metrics


@contextmanager
def serving(gateway: Gateway) -> Iterator[Plant]:
    """Run a gateway with a client until the context is left; yields once it is online."""
    with PlantClient(gateway.port, FILTERS) as client, gateway:
        gateway.start_serving()
        plant = Plant(gateway, client)
        plant.wait_until_online()
        yield plant
