"""The gateway, `why` and the recorder refuse the same messages, for the same reasons."""

import json
import re
import time
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli.why import explain
from agent.config.settings import Settings
from agent.delivery.at_least_once import Delivery
from agent.mqtt.packets import Received
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.bundle.manifest import Channel
from models.input.reasons import REASONS
from serving.model import prove
from serving.store import Store
from tests.kit.bundles.graphs import linear_bundle
from trainer.broker import Message
from trainer.capture.intake import Intake

BUNDLE = linear_bundle("mass", 1, [1.0], channels=(Channel(name="c0", missing="impute"),))
MAX_PAYLOAD_BYTES = 64
TOPICS = ("plant/p1/row", "plant/p2/row", "plant/p3/row", "plant/p1", "other/p1/row")


class Sent(NamedTuple):
    """A message of the plant; `ahead_s` is its source time, None for none at all."""

    topic: str
    value: object
    ahead_s: float | None
    retained: bool
    is_cut: bool

    def payload(self, now_ns: int) -> bytes:
        fields = {"c0": self.value}
        if self.ahead_s is not None:
            fields["ts"] = now_ns // 1_000_000 + round(self.ahead_s * 1000)
        content = json.dumps(fields).encode()
        return content[:-1] if self.is_cut else content


SENT = st.builds(
    Sent,
    topic=st.sampled_from(TOPICS),
    value=st.one_of(st.floats(-5, 5), st.just("bad"), st.none(), st.just("x" * 100)),
    ahead_s=st.sampled_from([0.0, -5.0, 3600.0, -2e9, None]),
    retained=st.booleans(),
    is_cut=st.booleans(),
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("gateway")
    store = Store(folder, keep=2)
    store.bundles_dir.mkdir(parents=True)
    store.path(BUNDLE.ref).write_bytes(BUNDLE.content)
    store.commit(BUNDLE.ref, None)
    source = {"topic": "plant/{asset}/row", "timestamp": "ts", "signals": {"c0": "c0"}}
    return Settings.model_validate(
        {
            "gateway": {"id": "gw1", "state_dir": folder},
            "broker": {"host": "localhost"},
            "registry": {"url": "file:///nowhere", "root": folder / "root.json"},
            "pipelines": [{"stream": "mass", "inputs": [source], "assets": ["p1", "p2"]}],
            "limits": {"max_payload_bytes": MAX_PAYLOAD_BYTES},
        }
    )


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=SENT)
def test_every_reader_refuses_alike(gateway: Settings, sent: Sent) -> None:
    now_ns = time.time_ns()
    payload = sent.payload(now_ns)
    served = as_served(gateway, sent, payload, now_ns)
    assert as_recorded(gateway, sent, payload, now_ns) == served
    if not sent.retained:  # `why` is asked about a payload, which no broker has kept
        assert as_explained(gateway, sent.topic, payload) == served


def as_served(gateway: Settings, sent: Sent, payload: bytes, now_ns: int) -> Counter[str]:
    delivery = Delivery(10, 10)
    pipeline = Pipeline(gateway.pipelines[0], gateway.limits)
    pipeline.activate(prove(BUNDLE))
    router = Router({"mass": pipeline}, lambda *_: False, delivery, gateway.limits, lambda _: 0)
    router.handle([Received(sent.topic, payload, 0, sent.retained, False, now_ns)])  # noqa: FBT003  delivered once
    return Counter(delivery.dropped)


def as_recorded(gateway: Settings, sent: Sent, payload: bytes, now_ns: int) -> Counter[str]:
    intake = Intake(gateway.pipelines[0], ["c0"], gateway.limits)
    assert len(list(intake.rows(Message(sent.topic, payload, sent.retained, now_ns)))) <= 1
    return intake.dropped


def as_explained(gateway: Settings, topic: str, payload: bytes) -> Counter[str]:
    lines = "\n".join(explain(gateway, topic, payload))
    if "matches" not in lines:
        return Counter(["no_pipeline"])
    reasons = re.findall(r"dropped as (\w+)", lines)
    assert set(reasons) <= REASONS.keys()
    return Counter(reasons)
