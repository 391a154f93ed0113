"""A plant in small: a gateway that answers, and a client that is its sensors and its SCADA."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.process import Gateway, telemetry_pipeline
from tests.kit.waiting import eventually

T = TypeVar("T")

STREAM = "mass"
TOPIC = "plant/l1/p1/telemetry"
FILTERS = ("plant/+/+/_inference/#", "millhand/gw1/#")
BASE_MS = 1_700_000_000_000
OFTEN: dict[str, object] = {"metrics_s": 0.1}
"""Limits that have the counters told at every tick of the agent, which is a second."""

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

    def wait_for_answers(self) -> list[dict[str, Any]]:
        """Wait until every row is answered: each once, in order, with the right value."""
        self.wait(lambda: self.client.count("_inference") >= self.sent, f"{self.sent} answers")
        answers = self.client.documents("_inference")
        numbers = [one["timestamp"] - BASE_MS for one in answers]
        wrong = [(at, number) for at, number in enumerate(numbers) if at != number]
        assert not wrong, f"answer {wrong[0][0]} is to row {wrong[0][1]}; {len(answers)} answers"
        assert [one["value"] for one in answers] == [number % 100 + 10.0 for number in numbers]
        return answers

    def wait_until_online(self) -> None:
        """Wait until the agent says so: on one connection that comes after its subscriptions."""
        self.wait(
            lambda: (self.client.latest("millhand/gw1/status") or {}).get("state") == "online",
            "the agent to be online",
        )

    def wait_for_metrics(self, **wanted: object) -> dict[str, Any]:
        """Wait until the counters are as wanted; all that were ever told must balance."""
        topic = "millhand/gw1/metrics"
        self.wait(
            lambda: wanted.items() <= (self.client.latest(topic) or {}).items(),
            f"metrics with {wanted}",
        )
        told = self.client.documents(topic)
        for metrics in told:
            assert_balanced(metrics)
        return told[-1]

    def wait_for_feedback(self, **wanted: object) -> dict[str, Any]:
        """Wait for a word on `feedback` of which all this is true."""

        def told() -> list[dict[str, Any]]:
            words = self.client.documents("millhand/gw1/feedback")
            return [word for word in words if wanted.items() <= word.items()]

        return self.wait(told, f"feedback with {wanted}")[0]

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """Wait for anything; where it does not come, show what the agent said last."""
        try:
            return eventually(condition, 20, what)
        except AssertionError as error:
            error.add_note(f"log:\n{self.gateway.log}")
            error.add_note(f"metrics: {self.client.latest('millhand/gw1/metrics')}")
            raise


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
