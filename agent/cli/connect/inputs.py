"""Whether an agent runs, and whether the broker delivers what it would read."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.cli.connect.probe import Probe
from agent.mqtt.connection import Connection
from agent.mqtt.subscription import Subscription
from models.control.documents import Status
from models.input.label_topic import LabelTopic
from models.input.topics import overlap
from serving.mqtt.packets import Received
from serving.preflight.answer import Answer

_LISTEN_S = 2.0
_MAX_TOPICS = 1_000


@dataclass(frozen=True, slots=True)
class Heard:
    """What has arrived while the broker was listened to.

    Attributes:
        refused: topic filters that the broker did not grant.
        topics: topics on which readings have arrived, a thousand at most.
        status: the retained document of the gateway; None where there is none, or none to be seen.
    """

    refused: frozenset[str]
    topics: frozenset[str]
    status: Status | None

    @property
    def is_online(self) -> bool:
        """Whether the gateway says that its agent is online."""
        return self.status is not None and self.status.state == "online"


def listen(probe: Probe, connection: Connection) -> Heard:
    """Subscribe to what the agent would read, for a moment, and at QoS 0: nothing is held up."""
    status = Subscription(probe.topics.status, 0, state=True)
    desired = Subscription(probe.topics.desired("+"), 0)
    wanted = [
        Subscription(name, 0, state=True) for name in (*filters(probe), *label_filters(probe))
    ]
    refused = probe.subscribe(connection, [status, desired, *wanted])
    topics: set[str] = set()
    found: list[Status] = []

    def take() -> bool:
        arrived, connection.received = connection.received, []
        for message in arrived:
            if message.topic == status.filter:
                found.extend(_status(message))
            elif len(topics) < _MAX_TOPICS:
                topics.add(message.topic)
        return False

    probe.turn_until(connection, take, _LISTEN_S)
    take()
    connection.unsubscribe([one.filter for one in (status, desired, *wanted)])
    return Heard(frozenset(refused), frozenset(topics), found[-1] if found else None)


def filters(probe: Probe) -> list[str]:
    """Topic filters of all inputs, each once."""
    inputs = [one for pipeline in probe.settings.pipelines for one in pipeline.inputs]
    return list(dict.fromkeys(one.filter for one in inputs))


def label_filters(probe: Probe) -> list[str]:
    """Topic filters of all late labels, each once."""
    takers = [pipeline for pipeline in probe.settings.pipelines if pipeline.labels is not None]
    return list(dict.fromkeys(LabelTopic(one).filter for one in takers))


def tell_agent(probe: Probe, heard: Heard, process: int | None) -> Iterator[Answer]:
    """Whether an agent with this id runs, by the lock of its state folder and by its status.

    Args:
        probe: whose settings name the gateway.
        heard: what has arrived.
        process: process id of the agent on this machine; None if none runs here.
    """
    if process is not None:
        yield Answer("ok", f"an agent runs here as process {process}; it is not disturbed")
    elif heard.is_online and heard.status is not None:
        yield Answer(
            "warn",
            f"an agent with the id {probe.settings.gateway.id} is online since "
            f"{heard.status.since or 'an unknown time'}, and not on this machine with this state "
            "folder: two agents must not have one id",
        )


def tell_inputs(probe: Probe, heard: Heard) -> Iterator[Answer]:
    """Whether the broker grants each filter, and whether readings arrive on it."""
    unasked = (probe.topics.desired("+"), *label_filters(probe))
    for name in (*unasked, *filters(probe)):
        if name in heard.refused:
            yield Answer("FAIL", f"subscribe {name}: the broker refuses it: permit it to read it")
            continue
        count = sum(overlap(name, topic) for topic in heard.topics)
        seen = f"readings on {count} topics arrived meanwhile" if count else ""
        if name in unasked:
            seen = "granted"
        yield Answer(
            "ok",
            f"subscribe {name}: "
            + (seen or "granted; nothing arrived meanwhile, so that reading is not proven"),
        )


def _status(message: Received) -> list[Status]:
    try:
        return [Status.model_validate_json(message.payload)]
    except ValueError:
        return []
