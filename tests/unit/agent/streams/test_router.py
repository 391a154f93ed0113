"""Whatever arrives, it disturbs no other message, and it is counted."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from agent.config.settings import Limits
from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Outcome
from agent.mqtt.connection import Will
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.bundle.package import Bundle
from models.input.pipeline import Pipeline as PipelineSettings
from serving import log
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.broker.fake_broker import FakeBroker
from tests.kit.bundles.graphs import linear_bundle

T0_MS = 1_760_000_000_000
NOW_NS = (T0_MS + 100) * 1_000_000


class Agent:
    """A router, the pipelines and delivery behind it, and a broker that confirms every publish."""

    def __init__(
        self, *topics: str, limits: Limits | None = None, bundle: Bundle | None = None
    ) -> None:
        limits = limits or Limits()
        self.commands: list[tuple[str, bytes]] = []
        self.delivery = Delivery(limits.max_in_flight, limits.max_outbox)
        self.pipelines = {
            f"s{number}": pipeline(f"s{number}", topic, limits)
            for number, topic in enumerate(topics or ["t/{asset}"])
        }
        for stream, one in self.pipelines.items():
            served = bundle or linear_bundle(stream, 1, [1.0])
            one.activate(Model(Session(served), served.sha256))
        self.router = Router(self.pipelines, self.command, self.delivery, limits, lambda _: 0)
        self.broker = FakeBroker()
        self.connect()
        self.packet_id = 0

    def connect(self) -> None:
        self.connection = self.broker.connection("gw", Will("gw/status", b""))
        self.connection.open()

    def lose_connection(self) -> None:
        self.broker.cut("gw")
        self.broker.published.pop()  # the will
        self.delivery.connection_lost()

    def command(self, message: Received) -> bool:
        if not message.topic.startswith("gw/"):
            return False
        self.commands.append((message.topic, message.payload))
        return True

    def handle(self, *messages: Received) -> None:
        """One turn, confirmed."""
        self.router.handle(messages, lambda: NOW_NS)
        self.delivery.pump(self.connection)
        self.connection.flush()
        self.connection.read(100)
        for packet_id, reason_code in self.connection.confirmed:
            self.delivery.confirmed(packet_id, reason_code)
        self.connection.confirmed.clear()

    def message(
        self,
        payload: bytes | float = 1.0,
        topic: str = "t/p1",
        *,
        retained: bool = False,
        repeated: bool = False,
    ) -> Received:
        self.packet_id += 1
        if isinstance(payload, float):
            payload = json.dumps({"c0": payload, "ts": T0_MS + self.packet_id}).encode()
        return Received(topic, payload, self.packet_id, retained, repeated, NOW_NS)

    @property
    def values(self) -> list[float]:
        return [json.loads(one.payload)["value"] for one in self.broker.published]

    @property
    def balance(self) -> dict[str, int]:
        outcomes = self.delivery.outcomes
        finished = sum(outcomes.values()) - outcomes[Outcome.COMMAND]
        assert self.router.received == finished + self.delivery.waiting
        return dict(self.delivery.dropped)


def pipeline(stream: str, topic: str, limits: Limits) -> Pipeline:
    source = {"topic": topic, "timestamp": "ts"}
    return Pipeline(PipelineSettings.model_validate({"stream": stream, "inputs": [source]}), limits)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[str]]]:
    """The lines that were logged since the last call."""

    def lines() -> list[str]:
        return capsys.readouterr().err.splitlines()

    yield lines
    logging.getLogger("millhand").handlers.clear()  # they hold the captured stream


def test_bad_messages_between_good_ones_are_counted_by_reason() -> None:
    agent = Agent()
    agent.handle(
        agent.message(1.0),
        agent.message(b"{"),
        agent.message(b'{"c0": "1", "ts": 1}'),
        agent.message(2.0),
        agent.message(b'{"c0": 1.0, "ts": 1}'),
        agent.message(b"[" * (1 << 20)),
        agent.message(3.0),
    )
    assert agent.values == [1.0, 2.0, 3.0]
    assert agent.balance == {
        "not_json": 1,
        "not_a_number": 1,
        "time_past": 1,
        "too_deep": 1,
    }
    assert agent.delivery.outcomes[Outcome.PREDICTED] == 3
    assert len(list(agent.delivery.acknowledgeable())) == 7


def test_ten_thousand_bad_messages_leave_nothing_behind() -> None:
    agent = Agent()
    for _ in range(100):
        agent.handle(*(agent.message(b"%d" % number) for number in range(100)))
        assert len(list(agent.delivery.acknowledgeable())) == 100
    agent.handle(agent.message(4.0))
    assert agent.values == [4.0]
    assert agent.balance == {"not_an_object": 10_000}
    assert agent.delivery.waiting == 0


def test_reading_of_a_stream_without_a_model_is_dropped_for_that() -> None:
    agent = Agent("t/{asset}")
    waiting = pipeline("s0", "t/{asset}", Limits())
    agent.router = Router({"s0": waiting}, agent.command, agent.delivery, Limits(), lambda _: 0)
    agent.handle(agent.message(), agent.message(topic="another/p1"))
    assert agent.balance == {"no_model": 1, "no_pipeline": 1}


def test_stream_without_a_model_takes_nothing_from_one_that_answers() -> None:
    agent = Agent("t/{asset}")
    pipelines = agent.pipelines | {"s1": pipeline("s1", "t/{asset}", Limits())}
    agent.router = Router(pipelines, agent.command, agent.delivery, Limits(), lambda _: 0)
    agent.handle(agent.message(4.0))
    assert (agent.values, agent.balance) == ([4.0], {})


def test_message_that_enters_no_window_is_not_noted() -> None:
    agent, bundle = Agent(), linear_bundle("s0", 1, [1.0], length=2)
    noted: list[Received] = []

    def note(message: Received) -> int:
        noted.append(message)
        return len(noted)

    settings = {
        "stream": "s0",
        "inputs": [
            {"topic": "t/{asset}", "timestamp": "ts"},
            {"topic": "u/{asset}/{signal}", "dialect": "scalar"},
        ],
        "assets": ["p1"],
        "output": {"topic": "out/{asset}"},
    }
    served = Pipeline(PipelineSettings.model_validate(settings), Limits())
    served.activate(Model(Session(bundle), bundle.sha256))
    agent.router = Router({"s0": served}, agent.command, agent.delivery, Limits(), note)
    good = agent.message(1.0)
    strange = [
        agent.message(b"1.0", "u/p1/door"),
        agent.message(1.0, "t/p2"),
        agent.message(b'{"other": 1}'),
        agent.message(b"{"),
    ]
    agent.handle(good, *strange)
    assert noted == [good]
    assert agent.balance == {
        "unbound_signal": 1,
        "unknown_asset": 1,
        "no_signal": 1,
        "not_json": 1,
    }


def test_topic_of_no_pipeline_is_dropped() -> None:
    agent = Agent()
    agent.handle(agent.message(topic="other/p1"), agent.message(topic=""))
    assert agent.balance == {"no_pipeline": 2}


def test_retained_reading_is_dropped_where_no_signal_is_held() -> None:
    agent = Agent()
    agent.handle(agent.message(retained=True))
    assert agent.balance == {"retained": 1}


def test_payload_beyond_the_limit_is_dropped_unread() -> None:
    agent = Agent(limits=Limits(max_payload_bytes=100))
    agent.handle(agent.message(b" " * 101), agent.message(1.0))
    assert agent.balance == {"payload_too_large": 1}
    assert agent.values == [1.0]


def test_reading_that_completes_no_window_is_counted_as_windowed() -> None:
    agent = Agent(bundle=linear_bundle("s0", 1, [1.0], length=3))
    agent.handle(*(agent.message(float(n)) for n in range(4)))
    assert agent.balance == {}
    assert agent.delivery.outcomes == {Outcome.WINDOWED: 2, Outcome.PREDICTED: 2}


def test_command_is_taken_and_not_counted_as_a_reading() -> None:
    agent = Agent()
    agent.handle(agent.message(b"{}", "gw/desired/s0", retained=True))
    assert agent.commands == [("gw/desired/s0", b"{}")]
    assert agent.router.received == 0
    assert agent.delivery.outcomes == {Outcome.COMMAND: 1}
    assert list(agent.delivery.acknowledgeable()) == [1]


def test_command_is_taken_even_if_an_input_describes_its_topic() -> None:
    agent = Agent("{site}/{line}/{asset}")
    agent.handle(*(agent.message(b"{}", "gw/desired/s0") for _ in range(2)))
    assert len(agent.commands) == 2
    assert agent.router.received == 0


def test_message_that_two_pipelines_want_is_answered_by_both_and_counted_once() -> None:
    agent = Agent("t/{asset}", "t/{asset}")
    agent.handle(agent.message(1.0))
    assert [one.topic for one in agent.broker.published] == [
        "t/p1/_inference/s0",
        "t/p1/_inference/s1",
    ]
    assert agent.router.received == 1
    assert agent.delivery.outcomes == {Outcome.PREDICTED: 1}


def test_message_that_only_one_of_two_pipelines_can_use_is_predicted() -> None:
    agent = Agent("t/{asset}", "t/{asset}")
    late = agent.message(1.0)
    agent.handle(agent.message(2.0))
    agent.pipelines["s1"].activate(_other_window("s1"))
    agent.router.forget_routes()
    agent.handle(late)
    assert agent.delivery.outcomes == {Outcome.PREDICTED: 2}
    assert agent.balance == {}


def _other_window(stream: str) -> Model:
    bundle = linear_bundle(stream, 2, [1.0], hop=2)
    return Model(Session(bundle), bundle.sha256)


def test_redelivery_enters_no_window_twice() -> None:
    agent = Agent(bundle=linear_bundle("s0", 1, [1.0], length=2))
    agent.broker.confirms = False
    messages = [agent.message(float(n)) for n in range(3)]
    agent.handle(*messages)
    agent.lose_connection()
    agent.connect()
    agent.delivery.connected(session_present=True)
    agent.broker.confirms = True
    agent.handle(
        *(one._replace(repeated=True, packet_id=9) for one in messages), agent.message(3.0)
    )
    assert agent.router.received == 4
    assert agent.delivery.redelivered == 3
    assert agent.values == [1.0, 2.0, 1.0, 2.0, 3.0]
    ids = [json.loads(one.payload)["id"] for one in agent.broker.published]
    assert ids[:2] == ids[2:4]


def test_topics_beyond_the_limit_are_served_too() -> None:
    agent = Agent(limits=Limits(max_topics=2))
    agent.handle(*(agent.message(float(n), f"t/p{n}") for n in range(5)))
    assert agent.values == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_drops_are_logged_once_a_reason_without_the_payload(
    logged: Callable[[], list[str]],
) -> None:
    log.start()
    agent = Agent()
    agent.handle(
        *(agent.message(b'{"secret": ') for _ in range(50)),
        *(agent.message(b"", f"t/\n{n}") for n in range(50)),
    )
    assert logged() == [
        'WARNING message dropped reason="not_json" topic="t/p1" payload_bytes=11',
        r'WARNING message dropped reason="empty" topic="t/\n0" payload_bytes=0',
    ]


def test_quickest_model_answers_first_and_is_sent_before_the_next_begins() -> None:
    agent = Agent("t/{asset}", "t/{asset}")
    agent.pipelines["s0"].inference.batch_ns, agent.pipelines["s1"].inference.batch_ns = 2e7, 1e5
    agent.router.receive([agent.message(1.0)])
    sent: list[list[str]] = []

    def send() -> None:
        agent.delivery.pump(agent.connection)
        agent.connection.flush()
        sent.append([one.topic for one in agent.broker.published])

    agent.router.answer(lambda: NOW_NS, between=send)
    assert sent == [["t/p1/_inference/s1"]]
    send()
    assert sent[1] == ["t/p1/_inference/s1", "t/p1/_inference/s0"]
