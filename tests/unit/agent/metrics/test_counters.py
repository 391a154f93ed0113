"""The metrics document carries what the parts count, and it balances."""

import json
from pathlib import Path

from agent.commands import Commands
from agent.config.settings import ConnectionSettings, Limits
from agent.delivery.at_least_once import Delivery
from agent.metrics.counters import Counters
from agent.mqtt.connection import Will
from agent.mqtt.reconnect import Reconnector
from agent.mqtt.session_record import SessionRecord
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.control.topics import ControlTopics
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from serving.worker import WakeUp, Worker
from tests.kit.bundles.graphs import linear_bundle

T0_MS = 1_760_000_000_000


def test_received_is_predicted_and_windowed_and_dropped_and_waiting(tmp_path: Path) -> None:
    wake_up = WakeUp()
    worker = Worker("test", wake_up)
    delivery, limits = Delivery(10, 10), Limits()
    pipeline = make_pipeline(limits)
    router = Router({"rul": pipeline}, lambda *_: False, delivery, limits, lambda _: 0)
    broker = ConnectionSettings(host="localhost")
    reconnector = Reconnector(
        broker,
        record=SessionRecord(tmp_path, broker, "gw", "2026-11-28T10:00:00.000Z"),
        will=lambda: Will("gw/status", b""),
        worker=worker,
        clock=lambda: 0.0,
    )
    router.handle([message(n) for n in range(5)], lambda: T0_MS * 1_000_000)
    commands = Commands(ControlTopics("gw"), ["rul"], lambda *_: None, 1.0, lambda: 0.0)
    counters = Counters(router, delivery, reconnector, [pipeline], commands)
    snapshot = json.loads(counters.snapshot().to_json())
    assert snapshot["streams"]["rul"].pop("batch_ms") > 0
    for histogram in ("duration_us", "age_ms"):
        assert sum(snapshot["streams"]["rul"].pop(histogram)["counts"]) == 3  # one a prediction
    assert snapshot == {
        "received": 5,
        "predicted": 0,
        "windowed": 1,
        "dropped": {"not_a_number": 1},
        "waiting": 3,  # predictions that the broker has not confirmed
        "redelivered": 0,
        "connects": 0,
        "sessions_lost": 0,
        "desired_superseded": 0,
        "streams": {
            "rul": {
                "predictions": {"GOOD": 1, "UNCERTAIN": 2},
                "bad": {},
                "missing": {"c0": 1},
                "refused": {"not_a_number": 1},
                "retained": 0,
                "unread": {},
                "unknown_states": {},
                "forgotten_assets": 0,
                "shed": 0,
            }
        },
    }
    worker.stop(5)
    wake_up.close()


def make_pipeline(limits: Limits) -> Pipeline:
    source = {"topic": "t/{asset}", "timestamp": "ts"}
    settings = PipelineSettings.model_validate({"stream": "rul", "inputs": [source]})
    pipeline = Pipeline(settings, limits)
    bundle = linear_bundle("rul", 1, [1.0], length=2)
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    return pipeline


def message(number: int) -> Received:
    """Of five: the first fills a window, the third has no value, the fourth is bad."""
    value = {2: None, 3: "bad"}.get(number, 1.0)
    payload = json.dumps({"c0": value, "ts": T0_MS + number}).encode()
    return Received("t/p", payload, number + 1, retained=False, repeated=False, at_ns=T0_MS * 10**6)
