"""From messages to confirmed predictions and acknowledged inputs, over every kind of broker."""

import json
from collections.abc import Sequence
from typing import Any

from agent.config.settings import Limits
from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Outcome
from agent.exchange import exchange
from agent.mqtt.connection import Connection
from agent.mqtt.subscription import Subscription
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.bundle.package import Bundle
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import Model
from serving.session import Session
from tests.kit.broker.sites import RECEIVE_MAXIMUM, Site, opened, publish, until
from tests.kit.bundles.graphs import linear_bundle

T0_MS = 1_760_000_000_000
OUT = "out/p1"
LIMITS = Limits()


class Agent:
    """The parts of an agent without its reactor: the test decides when a turn happens."""

    def __init__(self, site: Site, bundle: Bundle) -> None:
        self.site = site
        self.delivery = Delivery(LIMITS.max_in_flight, LIMITS.max_outbox)
        settings = PipelineSettings.model_validate(
            {
                "stream": "mass",
                "inputs": [{"topic": "in/{asset}", "timestamp": "ts"}],
                "output": {"topic": "out/{asset}"},
            }
        )
        self.pipeline = Pipeline(settings, LIMITS)
        self.pipeline.activate(Model(Session(bundle), bundle.sha256))
        self.router = Router(
            {"mass": self.pipeline},
            lambda *_: False,
            self.delivery,
            LIMITS,
            lambda _: 0,
        )
        self.connection = self.connect()

    def connect(self) -> Connection:
        """Connect and subscribe, as the reactor does."""
        connection = opened(self.site.connection())
        self.delivery.connected(session_present=connection.session_present)
        connection.subscribe([Subscription("in/+", 1)])
        answer_everything(connection)
        connection.confirmed.clear()
        return connection

    def lose_connection(self) -> None:
        """Lose the connection; `connect` makes the next."""
        self.site.cut(self.connection)
        self.delivery.connection_lost()

    def turn_until_answered(self, count: int) -> None:
        """Turn until so many inputs have come to an end, and all that is due is sent."""

        def done() -> bool:
            exchange(self.connection, self.router, self.delivery)
            finished = sum(self.delivery.outcomes.values())
            return finished >= count and self.delivery.idle and not self.connection.wants_write

        until(self.connection, done)
        self.is_balanced()

    def is_balanced(self) -> None:
        finished = sum(self.delivery.outcomes.values())
        assert self.router.received == finished + self.delivery.waiting

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.site.published(OUT)]


def answer_everything(connection: Connection) -> None:
    """Wait until the broker has handled all that was sent; it answers in order."""
    packet_id = publish(connection, "out/probe", b"")
    until(connection, lambda: (packet_id, 0) in connection.confirmed)


def row(number: int) -> bytes:
    return json.dumps({"ts": T0_MS + number, "c0": float(number)}).encode()


def send(site: Site, numbers: Sequence[int], qos: int = 1) -> None:
    for number in numbers:
        site.publish("in/p1", row(number), qos)


def values(answers: Sequence[dict[str, Any]]) -> list[float]:
    return [answer["value"] for answer in answers]


BUNDLE = linear_bundle("mass", 1, [1.0])


def answered(site: Site, count: int, bundle: Bundle = BUNDLE) -> Agent:
    """An agent that has answered some inputs."""
    agent = Agent(site, bundle)
    send(site, range(count))
    agent.turn_until_answered(count)
    until(agent.connection, lambda: len(agent.answers) >= count)
    return agent


def test_every_input_has_one_prediction_in_order(any_site: Site) -> None:
    agent = answered(any_site, 2 * RECEIVE_MAXIMUM + 3)
    assert values(agent.answers) == [float(n) for n in range(2 * RECEIVE_MAXIMUM + 3)]
    assert len({answer["id"] for answer in agent.answers}) == len(agent.answers)


def test_answered_inputs_do_not_come_again(any_site: Site) -> None:
    agent = answered(any_site, 5)
    agent.lose_connection()
    agent.connection = agent.connect()
    send(any_site, [5])
    agent.turn_until_answered(6)
    assert agent.delivery.redelivered == 0
    if any_site.keeps:  # amqtt sends its retained messages to everybody
        assert agent.router.received == 6


def test_bad_messages_cost_themselves_only(any_site: Site) -> None:
    agent = Agent(any_site, BUNDLE)
    send(any_site, [0])
    for payload in (b"", b"{", b'{"c0": NaN}', b"\xff", b"[" * 50_000, b'{"c0": 1, "c0": 1}'):
        any_site.publish("in/p1", payload)
    any_site.publish("in/p1/x", row(1))
    send(any_site, [2])
    agent.turn_until_answered(8)
    until(agent.connection, lambda: len(agent.answers) == 2)
    assert values(agent.answers) == [0.0, 2.0]
    assert agent.delivery.dropped == {
        "empty": 1,
        "not_json": 2,
        "not_finite": 1,
        "too_deep": 1,
        "duplicate_key": 1,
    }


def test_best_effort_inputs_are_answered(any_site: Site) -> None:
    agent = Agent(any_site, BUNDLE)
    send(any_site, range(5), qos=0)
    agent.turn_until_answered(5)
    until(agent.connection, lambda: len(agent.answers) >= 5)
    assert values(agent.answers) == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_retained_reading_is_not_fed_as_live(any_site: Site) -> None:
    any_site.publish("in/p1", row(0), retain=True)
    agent = Agent(any_site, BUNDLE)
    send(any_site, [1])
    agent.turn_until_answered(1)
    until(agent.connection, lambda: agent.answers)
    assert values(agent.answers) == [1.0]


def test_loss_before_the_confirmation_repeats_predictions_but_no_window(keeping_site: Site) -> None:
    agent = Agent(keeping_site, linear_bundle("mass", 1, [1.0], length=3))
    send(keeping_site, range(5))
    until(agent.connection, lambda: len(agent.connection.received) == 5)
    exchange(agent.connection, agent.router, agent.delivery)
    assert agent.delivery.waiting == 3
    answer_everything(agent.connection)
    agent.lose_connection()
    agent.connection = agent.connect()
    send(keeping_site, [5])
    agent.turn_until_answered(6)
    until(agent.connection, lambda: 5.0 in values(agent.answers))
    assert sorted(set(values(agent.answers))) == [2.0, 3.0, 4.0, 5.0]
    assert agent.router.received == 6
    assert agent.delivery.redelivered == 3
    ids = {(answer["value"], answer["id"]) for answer in agent.answers}
    assert len(ids) == 4, "a repeat carries the id of the first"


def test_crash_before_the_confirmation_loses_nothing(keeping_site: Site) -> None:
    agent = Agent(keeping_site, BUNDLE)
    send(keeping_site, range(5))
    until(agent.connection, lambda: len(agent.connection.received) == 5)
    exchange(agent.connection, agent.router, agent.delivery)
    agent.connection.flush()
    until(agent.connection, lambda: len(agent.answers) == 5)
    keeping_site.cut(agent.connection)
    following = Agent(keeping_site, BUNDLE)
    following.turn_until_answered(5)
    until(following.connection, lambda: len(following.answers) == 10)
    assert values(following.answers) == [0.0, 1.0, 2.0, 3.0, 4.0] * 2
    ids = [answer["id"] for answer in following.answers]
    assert ids[:5] == ids[5:]


def test_forgotten_session_is_survived(any_site: Site) -> None:
    agent = answered(any_site, 3)
    any_site.forget_sessions()
    agent.delivery.connection_lost()
    agent.connection = agent.connect()
    send(any_site, [3, 4])
    agent.turn_until_answered(5)
    until(agent.connection, lambda: 4.0 in values(agent.answers))
    assert agent.router.received == 5


def test_refused_topic_holds_its_inputs_back_until_it_is_granted(site_of_5: Site) -> None:
    agent = Agent(site_of_5, BUNDLE)
    site_of_5.refuse(OUT)
    send(site_of_5, range(3))

    def is_refused() -> bool:
        exchange(agent.connection, agent.router, agent.delivery)
        return agent.delivery.waiting == 3 and bool(agent.delivery.refusal)

    until(agent.connection, is_refused)
    assert agent.answers == []
    agent.is_balanced()
    answer_everything(agent.connection)  # every refusal has come
    exchange(agent.connection, agent.router, agent.delivery)
    site_of_5.grant()
    agent.delivery.retry()
    agent.turn_until_answered(3)
    until(agent.connection, lambda: len(agent.answers) == 3)
    assert values(agent.answers) == [0.0, 1.0, 2.0]
    assert agent.delivery.outcomes == {Outcome.PREDICTED: 3}
    assert agent.delivery.refusal == ""


def test_prediction_larger_than_the_broker_takes_does_not_block_the_next(any_site: Site) -> None:
    agent = Agent(any_site, BUNDLE)
    agent.connection.max_packet_bytes = 100  # less than any prediction
    send(any_site, [0])
    agent.turn_until_answered(1)
    assert agent.delivery.dropped == {"too_large": 1}
    agent.connection.max_packet_bytes = 100_000
    send(any_site, [1])
    agent.turn_until_answered(2)
    until(agent.connection, lambda: values(agent.answers) == [1.0])
