"""Windows of a slow model wait for the next turn: in order, for whichever model can answer them.

A turn is so short here that one window is answered in each.
"""

import json
from typing import TYPE_CHECKING, Any

from agent.config.settings import Limits
from agent.delivery.at_least_once import Delivery
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.bundle.package import Bundle
from models.input.pipeline import Pipeline as PipelineSettings
from serving.failure import MAX_FAILED_BATCHES
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.failing import BEYOND, failing_bundle

if TYPE_CHECKING:
    from agent.delivery.outgoing import Outgoing

T0_MS = 1_760_000_000_000
NOW_NS = (T0_MS + 1_000) * 1_000_000
BRIEF = {"turn_s": 1e-9, "max_batch": 4}


class Turns:
    """A router with one pipeline, and what it has posted, by turns that the test begins."""

    def __init__(self, bundle: Bundle, *, overload: str = "block", **limits: Any) -> None:  # noqa: ANN401  as Limits takes them
        self.limits = Limits(**(BRIEF | limits))
        stream = bundle.manifest.stream
        source = {"topic": "t/{asset}", "timestamp": "ts"}
        settings = {"stream": stream, "inputs": [source], "overload": overload}
        self.pipeline = Pipeline(PipelineSettings.model_validate(settings), self.limits)
        self.pipeline.activate(Model(Session(bundle), bundle.sha256))
        self.delivery = Delivery(100, 100)
        self.router = Router(
            {stream: self.pipeline}, lambda *_: False, self.delivery, self.limits, lambda _: 0
        )
        self.sent = 0

    def receive(self, *values: float, qos: int = 1) -> None:
        messages = []
        for value in values:
            self.sent += 1
            payload = json.dumps({"ts": T0_MS + self.sent, "c0": value, "c1": 0.0}).encode()
            packet_id = self.sent if qos else 0
            messages.append(
                Received("t/p", payload, packet_id, retained=False, repeated=False, at_ns=NOW_NS)
            )
        self.router.receive(messages)

    def answer(self) -> list[dict[str, Any]]:
        """One turn; the predictions that it made, whose confirmation does not come."""
        self.router.answer(lambda: NOW_NS)
        return self.drain()

    def drain(self) -> list[dict[str, Any]]:
        published: list[Outgoing] = []

        class Publisher:
            max_in_flight, max_packet_bytes, wants_write = 1_000, 1 << 20, False

            def publish(self, message: Any) -> None:  # noqa: ANN401  an Outgoing, as a Publish
                published.append(message)

        self.delivery.pump(Publisher())
        for one in published:
            self.delivery.confirmed(one.packet_id, 0)
        return [json.loads(one.payload) for one in published]

    def swap(self, bundle: Bundle) -> None:
        self.pipeline.activate(Model(Session(bundle), bundle.sha256))
        self.router.forget_routes()


def values(answers: list[dict[str, Any]]) -> list[float | None]:
    return [one["value"] for one in answers]


def linear(seq: int = 1, bias: float = 0.0) -> Bundle:
    return linear_bundle("s", seq, [1.0, 1.0], bias=bias)


def test_windows_that_do_not_fit_a_turn_are_answered_and_acknowledged_in_the_next_ones() -> None:
    turns = Turns(linear())
    turns.receive(1.0, 2.0, 3.0)
    for number, is_behind in ((1, True), (2, True), (3, False)):
        assert values(turns.answer()) == [number]
        assert turns.router.is_behind is is_behind
        assert list(turns.delivery.acknowledgeable()) == [number]
    assert turns.answer() == []
    assert not turns.router.is_gathering


def test_later_windows_wait_behind_those_of_earlier_turns() -> None:
    turns = Turns(linear())
    turns.receive(1.0, 2.0)
    answers = turns.answer()
    turns.receive(3.0)
    answers += turns.answer() + turns.answer()
    assert values(answers) == [1.0, 2.0, 3.0]


def test_windows_that_fit_a_turn_are_answered_at_once() -> None:
    turns = Turns(linear(), turn_s=60.0, inference_s=600.0)
    turns.receive(*map(float, range(4)))
    assert values(turns.answer()) == [0.0, 1.0, 2.0, 3.0]


def test_readings_at_qos_0_are_dropped_and_counted_once_too_many_wait() -> None:
    turns = Turns(linear())
    turns.receive(*(1.0 for _ in range(16 * 4)), qos=0)
    answers = turns.answer()
    turns.receive(2.0, 3.0, 4.0, qos=0)
    turns.receive(5.0)
    while turns.router.is_gathering:
        answers += turns.answer()
    assert values(answers) == [1.0] * 64 + [2.0, 5.0], "one had made room, and QoS 1 is bounded"
    assert turns.delivery.dropped == {"backlog_full": 2}


def test_next_model_of_the_same_windows_answers_those_that_wait() -> None:
    turns = Turns(linear())
    turns.receive(1.0, 2.0)
    assert values(turns.answer()) == [1.0]
    turns.swap(linear(2, bias=100.0))
    assert values(turns.answer()) == [102.0]


def test_model_before_answers_what_waits_where_the_next_reads_other_windows() -> None:
    turns = Turns(linear())
    turns.receive(1.0, 2.0)
    answers = turns.answer()
    turns.swap(linear_bundle("s", 2, [1.0, 1.0], length=2, bias=100.0))
    turns.receive(3.0, 4.0)
    answers += turns.answer() + turns.answer()
    assert [(one["value"], one["seq"]) for one in answers] == [(1.0, 1), (2.0, 1), (104.0, 2)]


def test_failing_model_is_not_asked_for_what_waits_where_the_next_reads_other_windows() -> None:
    turns = Turns(failing_bundle("s", 1, "error"))
    turns.receive(BEYOND, 1.0, 2.0)
    answers = turns.answer()
    turns.swap(linear_bundle("s", 2, [1.0, 1.0], length=2))
    answers += turns.answer() + turns.answer()
    assert [(one["value"], one.get("reason")) for one in answers] == 3 * [(None, "model_failed")]


def test_batch_without_a_finite_answer_counts_as_failed_and_one_with_an_answer_does_not() -> None:
    turns = Turns(failing_bundle("s", 1, "nan"), turn_s=60.0, inference_s=600.0)
    turns.receive(1.0)
    turns.answer()  # now it is known how long a window takes
    for batch in range(1, MAX_FAILED_BATCHES + 1):
        turns.receive(BEYOND, BEYOND)
        answers = turns.answer()
        assert [one["reason"] for one in answers] == ["answer_not_finite", "answer_not_finite"]
        failure = turns.pipeline.inference.failure
        assert failure is not None
        assert (failure.error.code, failure.batches) == ("answer_not_finite", batch)
        assert failure.is_lasting is (batch == MAX_FAILED_BATCHES)
    turns.receive(BEYOND, 1.0)
    assert [one.get("reason") for one in turns.answer()] == ["answer_not_finite", None]
    assert turns.pipeline.inference.failure is None
    assert turns.pipeline.inference.counted.bad == {"answer_not_finite": 2 * MAX_FAILED_BATCHES + 1}


def test_required_signal_without_a_value_is_not_the_models_failure() -> None:
    channels = [one.model_copy(update={"missing": "require"}) for one in linear().manifest.channels]
    turns = Turns(linear_bundle("s", 1, [1.0, 1.0], channels=channels))
    turns.receive(1e9)  # out of range
    (answer,) = turns.answer()
    assert (answer["quality"], answer["reason"]) == ("BAD", "input_missing")
    assert turns.pipeline.inference.failure is None


def test_messages_that_wait_for_a_slow_model_under_overload_are_thinned_out() -> None:
    turns = Turns(linear(), overload="latest")
    turns.receive(*map(float, range(8)))
    first = turns.answer()
    assert values(first) == [4.0], "the newest four are kept, one is answered in a turn"
    for number in range(8, 80):
        turns.receive(float(number))
    answers = first
    while turns.router.is_gathering:
        answers += turns.answer()
    assert values(answers)[:4] == [4.0, 5.0, 6.0, 7.0]
    assert values(answers)[-1] == 79.0
    assert values(answers) == sorted(set(values(answers)), key=float)  # type: ignore[arg-type]  # none is None
    assert turns.delivery.dropped["superseded"] == 80 - len(answers)


def test_messages_that_wait_are_read_anew_by_a_model_with_other_signals() -> None:
    turns = Turns(linear(), overload="latest")
    turns.receive(1.0, 2.0)
    answers = turns.answer()
    turns.receive(3.0)
    turns.swap(linear_bundle("s", 2, [10.0], channels=linear().manifest.channels[:1]))
    answers += turns.answer() + turns.answer()
    assert values(answers) == [1.0, 2.0, 30.0]
