"""The gateway, the replay of its journal, `why` and the recorder drop the same for one reason."""

import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.why import explain
from agent.config.settings import Settings
from agent.delivery.at_least_once import Delivery
from agent.journal.files import JournalFile
from agent.journal.records import Header, Whole, encoded, noted
from agent.journal.replay import Recovery
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.bundle.manifest import Channel
from models.input.reasons import REASONS
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from serving.store import Store
from tests.kit.bundles.graphs import linear_bundle
from trainer.broker import Message
from trainer.capture.intake import Intake

# With an age, so that the gateway may hold what the recorder writes down of retained messages.
CHANNEL = Channel(name="c0", missing="impute", max_age_ms=3_600_000)
BUNDLE = linear_bundle("mass", 1, [1.0], channels=(CHANNEL,))
MAX_PAYLOAD_BYTES = 128
ROW = {"topic": "plant/{asset}/row", "timestamp": "ts", "quality": "q", "signals": {"c0": "value"}}
CELL = {
    "topic": "cell/{asset}/{signal}",
    "dialect": "scalar",
    "value": "value",
    "timestamp": "ts",
    "quality": "q",
}
HUB = CELL | {"topic": "hub", "asset": "device", "signal": "tag"}
TOPICS = (
    "plant/p1/row",  # an input of all signals
    "plant/p3/row",  # an asset that is not listed
    "plant/p1",  # too few levels
    "plant/$p1/row",  # a level that no output topic may have
    "cell/p1/c0",  # an input of one signal
    "cell/p1/c9",  # a signal that the model does not read
    "cell/p3/c9",  # both an unknown asset and an unbound signal
    "other/p1/row",
    "hub",  # an input whose payloads name asset and signal
)


class Sent(NamedTuple):
    """A message of the plant; `ahead_s` is how far its source time is ahead, None without one."""

    topic: str
    fields: dict[str, object]
    ahead_s: float | None
    is_retained: bool
    is_cut: bool

    def payload(self, now_ns: int) -> bytes:
        fields = dict(self.fields)
        if self.ahead_s is not None:
            fields["ts"] = now_ns // 1_000_000 + round(self.ahead_s * 1000)
        content = json.dumps(fields).encode()
        return content[:-1] if self.is_cut else content


ROW_TOPIC, CELL_TOPIC = TOPICS[0], TOPICS[4]
GOOD = Sent(ROW_TOPIC, {"value": 1.0, "q": "GOOD"}, 0.0, is_retained=False, is_cut=False)
HUB_FIELDS = {"value": 1.0, "device": "p1", "tag": "c0"}
HUB_GOOD = GOOD._replace(topic="hub", fields=HUB_FIELDS)
LONG = {"value": 1.0, "other": "x" * MAX_PAYLOAD_BYTES}
DROPPED = {
    "no_pipeline": GOOD._replace(topic="other/p1/row", fields=LONG, is_retained=True),
    "retained": GOOD._replace(fields=LONG, is_retained=True),
    "payload_too_large": GOOD._replace(topic="plant/p3/row", fields=LONG),
    "unknown_asset": GOOD._replace(topic="cell/p3/c9", is_cut=True),
    "unbound_signal": GOOD._replace(topic="cell/p1/c9", is_cut=True),
    "not_json": GOOD._replace(is_cut=True),
    "not_a_number": GOOD._replace(fields={"value": "bad", "q": "odd"}, ahead_s=None),
    "no_signal": GOOD._replace(fields={"q": "odd"}, ahead_s=None),
    "time_missing": GOOD._replace(fields={"value": 1.0, "q": "odd"}, ahead_s=None),
    "quality_ambiguous": GOOD._replace(fields={"value": 1.0, "q": 0}, ahead_s=3600.0),
    "quality_unknown": GOOD._replace(fields={"value": 1.0, "q": "odd"}, ahead_s=3600.0),
    "time_past": GOOD._replace(ahead_s=-2e9),
    "time_future": GOOD._replace(ahead_s=3600.0),
}
"""By reason, in the order of the checks: messages that mostly fail later checks too."""

VALUES = st.one_of(st.floats(-5, 5), st.none(), st.sampled_from(["bad", [1], 1e400]))
RARELY = st.sampled_from([False] * 5 + [True])
SENT = st.builds(
    Sent,
    topic=st.one_of(st.sampled_from((ROW_TOPIC, CELL_TOPIC)), st.sampled_from(TOPICS)),
    fields=st.fixed_dictionaries(
        {"value": VALUES},
        optional={
            "q": st.sampled_from(["GOOD", "bad", "odd", 0]),
            "device": st.sampled_from(
                ["p1", "p3", "p1/a", "p\n", "", None, 1, 1.5, ["p1"], "x" * 99]
            ),
            "tag": st.sampled_from(["c0", "c9", "", None, 7, {}]),
            "other": st.integers(0, MAX_PAYLOAD_BYTES).map("x".__mul__),
        },
    ),
    ahead_s=st.sampled_from([0.0, 0.0, -5.0, 3600.0, -2e9, None]),
    is_retained=RARELY,
    is_cut=RARELY,
)


class Gateway(NamedTuple):
    """The settings of a gateway, and the model that it keeps."""

    settings: Settings
    model: Model

    def pipeline(self) -> Pipeline:
        pipeline = Pipeline(self.settings.pipelines[0], self.settings.limits)
        pipeline.activate(self.model)
        return pipeline


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    folder = tmp_path_factory.mktemp("gateway")
    store = Store(folder, keep=2)
    store.bundles_dir.mkdir(parents=True)
    store.path(BUNDLE.ref).write_bytes(BUNDLE.content)
    store.commit(BUNDLE.ref, None)
    settings = Settings.model_validate(
        {
            "gateway": {"id": "gw1", "state_dir": folder},
            "broker": {"host": "localhost"},
            "registry": {"url": "file:///nowhere", "root": folder / "root.json"},
            "pipelines": [{"stream": "mass", "inputs": [ROW, CELL, HUB], "assets": ["p1", "$p1"]}],
            "limits": {"max_payload_bytes": MAX_PAYLOAD_BYTES},
        }
    )
    return Gateway(settings, Model(Session(BUNDLE), BUNDLE.sha256))


@pytest.mark.parametrize(("reason", "sent"), DROPPED.items())
def test_first_check_that_fails_is_the_reason(gateway: Gateway, reason: str, sent: Sent) -> None:
    assert dropped_alike(gateway, sent) == Counter([reason])


BY_PAYLOAD = {
    "not JSON": ("not_json", HUB_GOOD._replace(is_cut=True)),
    "no device": ("asset_missing", {"device": None}),
    "device that is a list": ("asset_malformed", {"device": ["p1"]}),
    "device with a slash": ("asset_malformed", {"device": "p1/x"}),
    "device with a wildcard": ("asset_malformed", {"device": "+"}),
    "device with a zero": ("asset_malformed", {"device": "p\0"}),
    "device with a line break": ("asset_malformed", {"device": "p\n"}),
    "empty device": ("asset_malformed", {"device": ""}),
    "device that is not listed": ("unknown_asset", {"device": "p3"}),
    "no tag": ("signal_missing", {"tag": None}),
    "tag that is an object": ("signal_malformed", {"tag": {}}),
    "tag of another model": ("unbound_signal", {"tag": "c9"}),
    "value that is text": ("not_a_number", {"value": "bad"}),
}


@pytest.mark.parametrize(("reason", "change"), BY_PAYLOAD.values(), ids=BY_PAYLOAD)
def test_payload_that_names_asset_and_signal_is_dropped_for_its_reason(
    gateway: Gateway, reason: str, change: Sent | dict[str, object]
) -> None:
    sent = change if isinstance(change, Sent) else HUB_GOOD._replace(fields=HUB_FIELDS | change)
    assert dropped_alike(gateway, sent) == Counter([reason])


def test_payload_that_names_asset_and_signal_is_taken(gateway: Gateway) -> None:
    assert not dropped_alike(gateway, HUB_GOOD)


@given(sent=SENT)
def test_every_reader_drops_alike(gateway: Gateway, sent: Sent) -> None:
    assert dropped_alike(gateway, sent).keys() <= REASONS.keys()


def dropped_alike(gateway: Gateway, sent: Sent) -> Counter[str]:
    """The reasons under which a message is dropped, the same for every reader."""
    now_ns = time.time_ns()
    payload = sent.payload(now_ns)
    message = Received(sent.topic, payload, 1, sent.is_retained, False, now_ns)  # noqa: FBT003  delivered once
    served, entered = as_served(gateway, message)
    assert as_recorded(gateway, message) == served
    if entered:
        assert as_replayed(gateway, entered) == served
    else:
        assert served, "a message that enters no window is dropped for a reason"
    if not sent.is_retained:  # `why` is asked about a payload, which no broker has retained
        assert as_explained(gateway, sent.topic, payload) == served
    return served


def as_served(gateway: Gateway, message: Received) -> tuple[Counter[str], Sequence[Received]]:
    """What the gateway drops, and what it notes in its journal."""
    entered: list[Received] = []

    def note(message: Received) -> int:
        entered.append(message)
        return len(entered)

    delivery, limits = Delivery(10, 10), gateway.settings.limits
    router = Router({"mass": gateway.pipeline()}, lambda *_: False, delivery, limits, note)
    router.handle([message])
    return Counter(delivery.dropped), entered


def as_replayed(gateway: Gateway, entered: Sequence[Received]) -> Counter[str]:
    delivery, pipeline = Delivery(10, 10), gateway.pipeline()
    with TemporaryDirectory() as name:
        file = JournalFile(Path(name), is_synced=False)
        file.begin(1)
        file.append([encoded(Header(0, {"mass": pipeline.fingerprint})), encoded(Whole())])
        for serial, message in enumerate(entered, start=1):
            file.append(noted(serial, message))
        file.close()
        recovery = Recovery(Path(name), [pipeline], delivery)
        recovery.run(3600)
    delivery.settle(recovery.unanswered)
    assert recovery.open == len(entered)
    return Counter(delivery.dropped)


def as_recorded(gateway: Gateway, message: Received) -> Counter[str]:
    intake = Intake(gateway.settings.pipelines[0], ["c0"], gateway.settings.limits)
    recorded = Message(message.topic, message.payload, message.retained, message.at_ns)
    assert len(list(intake.rows(recorded))) == (0 if intake.dropped else 1)
    return intake.dropped


def as_explained(gateway: Gateway, topic: str, payload: bytes) -> Counter[str]:
    lines = "\n".join(explain(gateway.settings, topic, payload))
    reasons = re.findall(r"dropped as (\w+)", lines)
    return Counter(reasons) if "matches" in lines else Counter(["no_pipeline"])
