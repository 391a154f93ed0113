"""Whether the broker takes what the agent would publish, without anybody receiving it.

A message at QoS 2 is published in two steps. The broker answers the first, PUBLISH, by PUBREC, and
with MQTT 5 this says whether it may be published (3.5.2.1). The second, PUBREL, is never sent here,
and the session ends: Mosquitto hands a message on at PUBREL only, and drops this one. Another
broker may hand it on at PUBLISH (MQTT 5, 4.3.3 allows both). So this is first tried on a topic of
our own, and where the message comes back, no output topic is touched.
"""

from collections.abc import Generator, Iterator
from typing import NamedTuple

from agent.cli.connect.inputs import Heard
from agent.cli.connect.probe import Probe
from agent.mqtt.connection import Connection
from agent.mqtt.subscription import Subscription
from models.input.pipeline import Pipeline
from models.input.topics import TemplateError, TopicTemplate
from serving.mqtt.errors import REFUSED_FROM, BrokerError, refusal_of
from serving.mqtt.packets import Publish
from serving.preflight.answer import Answer

_MAX_ASSETS = 5  # of a pipeline whose output topics are tried
MADE_UP = "millhand-check"
_MARKER = b"."
_COME_BACK_S = 3.0
_NOT_TRIED = "whether predictions may be published was not tried"


class Output(NamedTuple):
    """A topic that the agent publishes on.

    Attributes:
        topic: the topic.
        allowing: topic filter that an access rule has to allow.
        is_real: whether such an asset exists, as far as is known; False for a made-up name.
    """

    topic: str
    allowing: str
    is_real: bool = True


def _obstacle(probe: Probe) -> str:
    """Why publishing cannot be tried unseen; empty where it can."""
    if not probe.has_reason_codes:
        return "MQTT 3.1.1 has no reason codes, so a broker takes in silence what it then drops"
    connection, _ = _connected(probe)
    try:
        return _obstacle_on(probe, connection)
    finally:
        connection.close(forget_session=True)


def _obstacle_on(probe: Probe, connection: Connection) -> str:
    own = Subscription(probe.topic, 0, own=True)
    if probe.subscribe(connection, [own]):
        return f"the broker refuses to subscribe {probe.topic}"
    (code,) = probe.publish(connection, [probe.topic], 2)
    if code is None:
        return f"the broker does not answer a message at QoS 2 on {probe.topic}"
    if code >= REFUSED_FROM:
        return f"publish {probe.topic}: {refusal_of(code)}"
    return _handed_on(probe, connection)


def _handed_on(probe: Probe, connection: Connection) -> str:
    """Whether the message that was just published came back, although it was not released.

    If so, it arrives before a message that is sent after its PUBREC.
    """
    connection.publish(Publish(probe.topic, _MARKER, 0))
    came: list[bytes] = []

    def has_come() -> bool:
        arrived, connection.received = connection.received, []
        came.extend(message.payload for message in arrived if message.topic == probe.topic)
        return _MARKER in came

    probe.turn_until(connection, has_come, _COME_BACK_S)
    if not has_come():
        return f"messages on {probe.topic} may be published, but do not arrive: permit to read them"
    if b"" in came:
        return "the broker hands a message at QoS 2 on before it is released, so all would see it"
    return ""


def ask_outputs(probe: Probe, heard: Heard) -> Generator[Answer, None, bool]:
    """Try each topic that the agent would publish on; returns whether that can be done unseen."""
    control = _control(probe)
    streams = {one.stream: _outputs(one, heard) for one in probe.settings.pipelines}
    wanted = [*control, *(output for outputs in streams.values() for output in outputs)]
    try:
        obstacle = _obstacle(probe)
        codes = {} if obstacle else withheld(probe, [output.topic for output in wanted])
    except BrokerError as exc:
        obstacle = str(exc)
    if obstacle:
        yield Answer("warn", f"{_NOT_TRIED}: {obstacle}")
    else:
        yield from _told_all(control, streams, codes)
    return not obstacle


def _told_all(
    control: list[Output], streams: dict[str, list[Output]], codes: dict[str, int | None]
) -> Iterator[Answer]:
    for name, outputs in (("its own topics", control), *streams.items()):
        yield from told(name, {output: codes.get(output.topic) for output in outputs})


def _control(probe: Probe) -> list[Output]:
    topics = probe.topics
    current = [topics.current(one.stream) for one in probe.settings.pipelines]
    names = [topics.status, topics.feedback, topics.metrics, *current]
    announced = probe.settings.home_assistant
    if announced.enabled:
        names.append(announced.topic(probe.settings.gateway.id))
    return [Output(name, name) for name in names]


def _outputs(pipeline: Pipeline, heard: Heard) -> list[Output]:
    """Output topics of the assets that are configured or were heard of, else of a made-up one."""
    output = pipeline.output_topic.replace("{stream}", pipeline.stream)
    template = TopicTemplate(output)
    named = _configured(pipeline) or _heard(pipeline, heard)
    levels = list(named.values())[:_MAX_ASSETS] or [dict.fromkeys(template.names, MADE_UP)]
    found = []
    for one in levels:
        try:
            topic = template.render(one)
        except TemplateError:
            continue
        found.append(Output(topic, template.filter, bool(named)))
        if pipeline.output.scalars:
            below = template.filter if template.is_open else f"{template.filter}/value"
            found.append(Output(f"{topic}/value", below, bool(named)))
    return found


def _configured(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    """The named levels of the assets that the pipeline is limited to."""
    template = TopicTemplate(pipeline.inputs[0].topic)
    names = pipeline.inputs[0].level_names
    most = len(names) - 1 if template.is_open else -1
    split = {asset: asset.split("/", most) for asset in pipeline.assets}
    return {
        asset: dict(zip(names, levels, strict=True))
        for asset, levels in split.items()
        if len(levels) == len(names)
    }


def _heard(pipeline: Pipeline, heard: Heard) -> dict[str, dict[str, str]]:
    """The named levels of the assets whose readings have arrived."""
    found = {}
    for source in pipeline.inputs:
        template = TopicTemplate(source.topic)
        for topic in (
            () if source.has_payload_names else sorted(heard.topics)
        ):  # a payload's is not known
            if (levels := template.match(topic)) is not None:
                found[levels.asset] = dict(levels.by_name)
    return found


def withheld(probe: Probe, topics: list[str]) -> dict[str, int | None]:
    """Reason codes for messages that are never released, by topic; None where no answer came.

    Each message takes one of the broker's Receive Maximum until the session ends, therefore a new
    connection follows after as many. One follows also where the broker has closed the last:
    Mosquitto 2.0.11 sometimes does so after it has refused a message at QoS 2.
    """
    codes: dict[str, int | None] = {}
    connection, room = _connected(probe)
    for topic in topics:
        if not room:
            connection.close(forget_session=True)
            connection, room = _connected(probe)
        (code,) = probe.publish(connection, [topic], 2)
        if code is None and connection.lost:
            connection, room = _connected(probe)
            (code,) = probe.publish(connection, [topic], 2)
        codes[topic] = code
        room -= 1
    connection.close(forget_session=True)
    return codes


def _connected(probe: Probe) -> tuple[Connection, int]:
    """A connection whose session ends with it, and the number of messages that it may hold."""
    connection = probe.connect("publish", expiry_s=0)
    return connection, connection.max_in_flight


def told(name: str, codes: dict[Output, int | None]) -> Iterator[Answer]:
    """One line for all that is allowed, and one for each topic that is not."""
    allowed = [one for one, code in codes.items() if code is not None and code < REFUSED_FROM]
    if allowed:
        topics = ", ".join(one.topic for one in allowed)
        note = "" if allowed[0].is_real else ", for a made-up asset"
        yield Answer(
            "ok", f"publish {topics}: allowed ({name}{note}; nobody has received anything)"
        )
    for one, code in codes.items():
        if code is None:
            yield Answer("warn", f"publish {one.topic}: the broker did not answer in time")
        elif code >= REFUSED_FROM and one.is_real:
            remedy = f"permit the gateway to write {one.allowing}"
            yield Answer("FAIL", f"publish {one.topic}: {refusal_of(code)}: {remedy}")
        elif code >= REFUSED_FROM:
            remedy = f"permit the gateway to write {one.allowing}"
            unless = "unless it may do so for its own assets only, as this one is made up"
            yield Answer("warn", f"publish {one.topic}: {refusal_of(code)}: {remedy}, {unless}")
