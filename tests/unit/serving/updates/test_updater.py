"""What serves at a start without a network, and what a failing model leads to."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.commands import Commands
from agent.config.settings import Limits
from agent.control import Control
from agent.hold import Hold
from agent.streams.pipeline import Pipeline
from models.bundle.identity import BundleRef
from models.bundle.package import Bundle
from models.control.topics import ControlTopics
from models.input.pipeline import Pipeline as PipelineSettings
from serving.errors import ModelFailedError
from serving.failure import MAX_FAILED_BATCHES, Failure
from serving.incidents.account import Account
from serving.model import Model
from serving.mqtt.packets import Received
from serving.proof.prover import Prover
from serving.proof.settings import Proof
from serving.registry.settings import Registry
from serving.store import Store
from serving.updates.attempt import Tools
from serving.updates.settings import Updates
from serving.updates.updater import Updater
from serving.worker import WakeUp, Worker
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.waiting import eventually

STREAM = "mass"


class PipelineSlot:
    """A pipeline without a gateway around it, as the updates of its stream see it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.prepare = pipeline.prepare
        self._pipeline = pipeline

    @property
    def model(self) -> Model | None:
        return self._pipeline.model

    @property
    def failure(self) -> Failure | None:
        return self._pipeline.inference.failure


class Gateway:
    """An updater on a folder of its own, with a registry that is not there."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder, keep=3)
        self.now = 0.0
        self.posted: list[Any] = []
        source = {"topic": "in/{asset}"}
        self.pipeline = Pipeline(
            PipelineSettings.model_validate({"stream": STREAM, "inputs": [source]}), Limits()
        )
        self._wake_up = WakeUp()
        self.worker = Worker("updates", self._wake_up)
        self.updater = Updater(
            Tools(
                Registry(url=f"file://{folder}/registry", root=folder / "root.json"),
                self.store,
                self.worker,
                Prover(folder / "proofs", Proof(), batch=256),
                Account(folder, poison_deaths=3),
                Updates(),
            ),
            Control("gw", self.posted.append),
            clock=lambda: self.now,
        )

    def keep(self, bundle: Bundle) -> BundleRef:
        self.store.bundles_dir.mkdir(parents=True, exist_ok=True)
        self.store.path(bundle.ref).write_bytes(bundle.content)
        self.store.commit(bundle.ref, None)
        return bundle.ref

    def start(self) -> None:
        self.updater.start({STREAM: PipelineSlot(self.pipeline)})

    def fail(self, batches: int = MAX_FAILED_BATCHES) -> None:
        """Have the model fail on live windows, in the words of a runtime."""
        self.pipeline.inference.failure = Failure(ModelFailedError("words"), batches)

    def desire(self, seq: int, activity: str) -> None:
        document = {"stream": STREAM, "seq": seq, "activity": activity}
        self.updater.desire(STREAM, json.dumps(document).encode())

    def wait_for_feedback(self, *states: str) -> dict[str, Any]:
        def told() -> dict[str, Any] | None:
            self.worker.run_posted()
            return next((one for one in self.feedback if one["state"] in states), None)

        answer = eventually(told, 20, f"feedback {states}")
        assert answer is not None
        return answer

    @property
    def feedback(self) -> list[dict[str, Any]]:
        return [json.loads(one.payload) for one in self.posted if one.topic.endswith("feedback")]

    @property
    def current(self) -> list[dict[str, Any]]:
        return [json.loads(one.payload) for one in self.posted if "/current/" in one.topic]

    @property
    def serving(self) -> int | None:
        return self.pipeline.model.manifest.seq if self.pipeline.model is not None else None

    def close(self) -> None:
        self.worker.stop(20)
        self._wake_up.close()


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[Callable[[], Gateway]]:
    made: list[Gateway] = []

    def make() -> Gateway:
        made.append(Gateway(tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.close()


def bundle(seq: int, **fields: Any) -> Bundle:  # noqa: ANN401  as linear_bundle takes them
    return linear_bundle(STREAM, seq, [1.0], **fields)


def test_kept_bundle_serves_without_a_network(make_gateway: Callable[[], Gateway]) -> None:
    gateway = make_gateway()
    gateway.keep(bundle(1))
    gateway.start()
    assert gateway.serving == 1


def test_gateway_without_a_bundle_waits(make_gateway: Callable[[], Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    gateway.updater.announce()
    assert gateway.serving is None
    assert json.loads(gateway.posted[-1].payload)["state"] == "waiting"


@pytest.mark.parametrize("damage", ["changed", "gone", "golden", "other"])
def test_last_good_bundle_serves_if_the_last_is_no_good(
    make_gateway: Callable[[], Gateway], damage: str
) -> None:
    gateway = make_gateway()
    gateway.keep(bundle(1))
    last = bundle(2, golden_wrong=damage == "golden")
    if damage == "other":
        last = linear_bundle(STREAM, 2, [1.0, 1.0, 1.0])
    path = gateway.store.path(gateway.keep(last))
    if damage == "changed":
        path.write_bytes(path.read_bytes()[:-1])
    if damage == "gone":
        path.unlink()
    gateway.pipeline.settings = PipelineSettings.model_validate(
        {"stream": STREAM, "inputs": [{"topic": "in/{asset}", "signals": {"c0": "c0"}}]}
    )
    gateway.start()
    assert gateway.serving == 1


def test_model_that_fails_on_live_windows_is_rolled_back(
    make_gateway: Callable[[], Gateway],
) -> None:
    gateway = make_gateway()
    gateway.keep(bundle(1))
    gateway.keep(bundle(2))
    gateway.start()
    gateway.fail()
    gateway.updater.tick()
    assert gateway.serving == 1
    told = gateway.wait_for_feedback("rolled_back")
    assert (told["seq"], told["error"], told["message"]) == (1, "model_failed", "mass#2: words")

    def recorded() -> bool:
        record = gateway.store.active(STREAM)
        return record is not None and (record.serving.seq, record.pinned) == (1, None)

    eventually(recorded)


@pytest.mark.parametrize("earlier", [(1,), ()], ids=["rolled back", "degraded"])
def test_newer_bundle_is_looked_for_soon_after_a_model_has_failed(
    make_gateway: Callable[[], Gateway], earlier: tuple[int, ...]
) -> None:
    gateway = make_gateway()
    for seq in (*earlier, 2):
        gateway.keep(bundle(seq))
    gateway.start()
    gateway.now = 31.0
    gateway.updater.tick()
    gateway.wait_for_feedback("refused")
    gateway.now = 62.0
    gateway.updater.tick()
    assert not gateway.updater.is_under_way([STREAM]), "the next look is an hour away"
    gateway.fail()
    gateway.updater.tick()
    gateway.now = 93.0
    assert gateway.updater.is_under_way([STREAM])


def test_only_bundle_whose_model_fails_is_degraded_until_it_answers(
    make_gateway: Callable[[], Gateway],
) -> None:
    gateway = make_gateway()
    gateway.keep(bundle(1))
    gateway.start()
    gateway.fail(MAX_FAILED_BATCHES - 1)
    gateway.updater.tick()
    assert gateway.current == []
    gateway.fail()
    gateway.updater.tick()
    gateway.fail(MAX_FAILED_BATCHES + 1)
    gateway.updater.tick()
    (told,) = gateway.current
    assert (told["state"], told["seq"], told["reason"]) == ("degraded", 1, "model_failed")
    assert (told["message"], told["failed_batches"]) == ("words", MAX_FAILED_BATCHES)
    gateway.pipeline.inference.failure = None
    gateway.updater.tick()
    assert len(gateway.current) == 1, "not at once: it may fail on every other batch"
    gateway.now = 10.0
    gateway.updater.tick()
    told = gateway.current[-1]
    assert told["state"] == "serving"
    assert "reason" not in told


def test_earlier_bundle_that_cannot_serve_leaves_the_failing_one_degraded(
    make_gateway: Callable[[], Gateway],
) -> None:
    gateway = make_gateway()
    gateway.store.path(gateway.keep(bundle(1))).write_bytes(b"damaged")
    gateway.keep(bundle(2))
    gateway.start()
    for _ in range(3):
        gateway.fail()
        gateway.updater.tick()
    assert [(one["state"], one["seq"]) for one in gateway.current] == [("degraded", 2)]


def test_selection_that_was_rolled_back_does_not_come_back_with_a_reconnect(
    make_gateway: Callable[[], Gateway],
) -> None:
    gateway = make_gateway()
    gateway.keep(bundle(1))
    gateway.keep(bundle(2))
    gateway.start()
    gateway.desire(2, "push-1")
    gateway.wait_for_feedback("waiting", "refused")  # the registry is not there
    gateway.fail()
    gateway.updater.tick()
    assert gateway.serving == 1
    told = len(gateway.feedback)
    gateway.desire(2, "push-1")  # retained on the broker, so it comes with every connect
    gateway.now = 1.0
    gateway.updater.tick()
    gateway.worker.run_posted()
    assert len(gateway.feedback) == told
    gateway.desire(2, "push-2")  # somebody selects anew
    eventually(lambda: gateway.worker.run_posted() or len(gateway.feedback) > told)  # type: ignore[func-returns-value]  # it takes what is posted, then looks


def test_push_right_after_the_retained_document_is_tried_before_a_pause_ends(
    make_gateway: Callable[[], Gateway],
) -> None:
    gateway = make_gateway()
    gateway.keep(bundle(1))
    gateway.start()
    topics, updater = ControlTopics("gw"), gateway.updater
    commands = Commands(topics, [STREAM], updater.desire, 60.0, lambda: gateway.now)
    hold = Hold(
        lambda message: commands.take(message.topic, message.payload),
        commands,
        updater,
        lambda: gateway.now,
    )
    hold.begin([STREAM], lambda: None)
    for seq, activity in ((2, "retained"), (3, "push")):
        payload = json.dumps({"stream": STREAM, "seq": seq, "activity": activity}).encode()
        message = Received(
            topics.desired(STREAM), payload, 0, retained=True, repeated=False, at_ns=0
        )
        hold.hear([message])
    assert not hold.is_over(is_subscribed=True)

    def is_over() -> bool:
        gateway.worker.run_posted()
        is_over = hold.is_over(is_subscribed=True)
        updater.tick()
        return is_over

    gateway.now = 1.0
    eventually(is_over)
    assert [one["activity"] for one in gateway.feedback] == ["retained", "push"]


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"seq": 0}',
        b'{"seq": "2"}',
        b'{"seq": true}',
        b'{"seq": 2, "stream": "other"}',
        b'{"seq": 2, "activity": "%s"}' % (b"x" * 5000),
    ],
)
def test_selection_that_is_none_is_refused_and_nothing_changes(
    make_gateway: Callable[[], Gateway], payload: bytes
) -> None:
    gateway = make_gateway()
    gateway.keep(bundle(1))
    gateway.start()
    gateway.updater.desire(STREAM, payload)
    (told,) = gateway.feedback
    assert (told["state"], told["error"]) == ("refused", "incompatible")
    assert gateway.serving == 1


def test_selection_for_a_stream_that_runs_elsewhere_is_passed_over(
    make_gateway: Callable[[], Gateway],
) -> None:
    gateway = make_gateway()
    gateway.start()
    gateway.updater.desire("other", b'{"seq": 1}')
    assert gateway.posted == []
