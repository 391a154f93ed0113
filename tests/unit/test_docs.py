"""docs/topics.md, done as it says: its configurations load, its messages are answered."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from agent.config.settings import Settings
from agent.control import Control
from agent.delivery.at_least_once import FINAL_REFUSALS, Delivery
from agent.delivery.inputs import Input
from agent.delivery.outgoing import Outgoing
from agent.streams.pipeline import Pipeline
from agent.streams.shedding import POLICIES
from models import errors
from models.bundle.explain import Explain
from models.bundle.manifest import Channel, WindowSpec
from models.bundle.package import Bundle
from models.control.documents import Current, Feedback, Metrics
from models.control.topics import ControlTopics
from models.errors import MillhandError
from models.input.codecs.encodings import ENCODINGS
from models.input.options import Dialect
from models.input.reasons import BAD_REASONS
from serving.errors import InferenceError
from serving.model import Model, explainer_of
from serving.mqtt.packets import Received, Skipped
from serving.session import Session
from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import detector_bundle, linear_bundle

ROOT = Path(__file__).parents[2]
TOPICS = (ROOT / "docs/topics.md").read_text()
NOW_NS = 1_760_000_003_000_000_000
CHANNELS = (Channel(name="pressure"), Channel(name="flow"))
WINDOW = WindowSpec(length=1, sample_period_ms=1000)
BUNDLE = linear_bundle(
    "pump-health", 1, [1.0, 10.0], channels=CHANNELS, window=WINDOW, version="1.0.0"
)
BASE = {
    "gateway": {"id": "gateway-1"},
    "broker": {"host": "127.0.0.1"},
    "registry": {"url": "file:///srv/registry", "root": "root.json"},
}


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of every fenced block."""
    return (
        (found[1], found[2])
        for found in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    )


def examples() -> list[tuple[str, str]]:
    """Every configuration with the messages that stand below it."""
    configuration, found = "", []
    for language, content in blocks(TOPICS.split("## Predictions")[0]):
        if language == "toml":
            configuration = content
        elif language == "text":
            found.append((configuration, content))
    return found


def documents() -> dict[str, dict[str, Any]]:
    """Every JSON document by the topic that was named last before it."""
    topic, found = "prediction", {}
    named = re.compile(
        r"`millhand/gateway-1/(\w+)[^`]*`|^```json\n(.*?)^```", re.MULTILINE | re.DOTALL
    )
    for match in named.finditer(TOPICS):
        if match[2] is None:
            topic = match[1]
        else:
            found[topic] = json.loads(match[2])
    return found


def serving(configuration: str, bundle: Bundle = BUNDLE) -> Pipeline:
    settings = Settings.model_validate({**BASE, **tomllib.loads(configuration)})
    pipeline = Pipeline(settings.pipelines[0], settings.limits)
    explainer = explainer_of(bundle)
    pipeline.activate(Model(Session(bundle), bundle.sha256, explainer=explainer))
    return pipeline


def answer(pipeline: Pipeline, messages: str) -> list[Outgoing]:
    """Send lines of topic and payload, and return what goes out."""
    for line in messages.splitlines():
        topic, text = line.split(maxsplit=1)
        source = pipeline.settings.inputs[0]
        is_binary = source.encoding in ENCODINGS or source.dialect == "sparkplug"
        payload = bytes.fromhex(text) if is_binary else text.encode()
        route = pipeline.route(topic)
        assert route is not None, topic
        message = Received(topic, payload, 1, retained=False, repeated=False, at_ns=NOW_NS)
        pipeline.take(route, message, Input(1, (topic, message.payload)))
    return pipeline.infer(lambda: NOW_NS + 436_000)


@pytest.mark.parametrize(("configuration", "messages"), examples())
def test_messages_of_every_dialect_are_answered(configuration: str, messages: str) -> None:
    sent = answer(serving(configuration), messages)
    assert sent
    for outgoing in sent:
        published = json.loads(outgoing.payload)
        assert "_inference/pump-health" in outgoing.topic
        assert published["value"] is not None or published["quality"] == "BAD"


def test_there_is_an_example_of_every_dialect() -> None:
    given = [tomllib.loads(toml)["pipelines"][0]["inputs"][0] for toml, _ in examples()]
    assert {one.get("dialect", "json") for one in given} == {*get_args(Dialect)}
    shown = {one["encoding"] for one in given if "encoding" in one}
    assert shown == {"json", "base64", *ENCODINGS}


def test_payload_in_each_encoding_is_the_document_that_is_shown() -> None:
    (shown,) = re.findall(r"digits, is the document\s+`(.+?)`", TOPICS)
    found = {}
    for toml, messages in examples():
        (source,) = serving(toml).settings.inputs
        if source.encoding in ENCODINGS and source.dialect == "json":
            found[source.encoding] = source.parse(bytes.fromhex(messages.split()[1]))
    assert found == dict.fromkeys(ENCODINGS, json.loads(shown))


def test_prediction_has_the_fields_that_are_shown() -> None:
    configuration, messages = examples()[0]
    published = json.loads(answer(serving(configuration), messages)[0].payload)
    shown = documents()["prediction"]
    assert list(published) == list(shown) or set(published) == set(shown)
    changing = {"id", "latency_ms", "input_age_ms"}
    assert {k: v for k, v in published.items() if k not in changing} == {
        k: v for k, v in shown.items() if k not in changing
    }


def test_every_field_of_a_prediction_is_explained() -> None:
    section = TOPICS.split("## Predictions")[1].split("### Why a prediction is BAD")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    explain = Explain(
        when="always", method="shapley", orders=2, reference=0, output="score", alarms=(1,)
    )
    detector = detector_bundle("pump-health", 1, [1.0, 10.0], explain=explain)
    rename = 'topic = "t/{asset}"\nsignals = { c0 = "pressure", c1 = "flow" }\n'
    configuration = f'[[pipelines]]\nstream = "pump-health"\n[[pipelines.inputs]]\n{rename}'
    (sent,) = answer(serving(configuration, detector), 't/p {"pressure": 1, "flow": 2}')
    strict = linear_bundle(
        "pump-health", 1, [1.0, 10.0], channels=make_channels(2, missing="require")
    )
    (bad,) = answer(serving(configuration, strict), 't/p {"pressure": 1e9, "flow": 2}')
    answers = (sent.payload, bad.payload)
    assert explained == {*documents()["prediction"]}.union(*map(json.loads, answers))


def test_every_reason_of_a_bad_prediction_is_explained_by_its_meaning() -> None:
    section = TOPICS.split("### Why a prediction is BAD")[1].split("\n## ")[0]
    rows = [row.split("|")[1:3] for row in section.splitlines() if row.startswith("| `")]
    assert {code.strip(" `"): text.strip() for code, text in rows} == BAD_REASONS
    kinds = InferenceError.__subclasses__()
    # A worker's own is told between processes of the server, and stands in no prediction.
    failures = {one.code for one in kinds if one.__module__ == InferenceError.__module__}
    assert failures < set(BAD_REASONS), "the code of an error is the reason of a prediction"


def test_scalars_are_those_that_are_shown() -> None:
    configuration, messages = examples()[0]
    scalars = f"{configuration}\n[pipelines.output]\nscalars = true\n"
    sent = answer(serving(scalars), messages.splitlines()[0])[1:]
    shown = dict(
        line.split()
        for language, content in blocks(TOPICS.split("## Predictions")[1])
        if language == "text"
        for line in content.splitlines()
    )
    assert {one.topic: one.payload.decode() for one in sent} == shown


def test_every_reason_is_listed() -> None:
    table = TOPICS.split("### What is dropped")[1].split("## Predictions")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    raised = re.compile(r'(?:DecodeError|ReadingError)\("(\w+)"[,)]')
    refused = re.compile(r'refused = "(\w+)"')
    given_up = re.compile(r'_give_up\([^"]*"(\w+)"\)')
    returned = re.compile(r'^ +return "(\w+)"', re.MULTILINE)
    files = [*ROOT.glob("agent/**/*.py"), *ROOT.glob("models/**/*.py")]
    found = {one for file in files for one in raised.findall(file.read_text())}
    found |= {one for file in files for one in refused.findall(file.read_text())}
    found |= set(given_up.findall((ROOT / "agent/delivery/at_least_once.py").read_text()))
    dropped = re.compile(r'_drop\([^"]*"(\w+)"\)')
    found |= set(dropped.findall((ROOT / "agent/streams/router.py").read_text()))
    for name in (
        "agent/streams/router.py",
        "models/input/routes.py",
        "models/input/admission.py",
        "models/input/codecs/document.py",
        "agent/streams/router.py",
    ):
        found |= set(returned.findall((ROOT / name).read_text()))
    shed = {reason for reason, _ in POLICIES.values()}
    assert listed == found | shed | set(FINAL_REFUSALS.values()) | {Skipped.REASON}


def test_documents_of_the_gateway_have_the_fields_that_are_shown() -> None:
    posted: list[Outgoing] = []
    control = Control("gateway-1", posted.append)
    shown = documents()
    control.online()
    control.current(Current.model_validate(shown["current"]))
    control.feedback(Feedback.model_validate(shown["feedback"]))
    control.metrics(Metrics.model_validate(shown["metrics"]))
    published = {one.topic.split("/")[2]: json.loads(one.payload) for one in posted}
    assert {topic: list(fields) for topic, fields in published.items()} == {
        topic: list(shown[topic]) for topic in published
    }
    topics = ControlTopics("gateway-1")
    assert topics.stream_desired_by("millhand/gateway-1/desired/pump-health") == "pump-health"


def test_counters_that_are_shown_balance() -> None:
    shown = documents()["metrics"]
    parts = shown["predicted"] + shown["windowed"] + sum(shown["dropped"].values())
    assert shown["received"] == parts + shown["waiting"]
    assert Delivery(1, 1).waiting == 0


def test_error_that_is_shown_is_one_of_ours() -> None:
    codes = {
        one.code
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, MillhandError)
    }
    assert documents()["feedback"]["error"] in codes
