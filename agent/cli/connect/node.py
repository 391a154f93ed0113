"""Whether the broker lets the edge node of Sparkplug in, and takes what it would publish."""

from collections.abc import Iterator
from dataclasses import replace

from agent.cli.connect.outputs import MADE_UP, Output, told, withheld
from agent.cli.connect.probe import NotAcceptedError, Probe
from agent.mqtt.subscription import Subscription
from agent.sparkplug.topics import NodeTopics, state_topic
from serving.mqtt.errors import BrokerError
from serving.preflight.answer import Answer

_OF_NODE = ("NBIRTH", "NDATA", "NDEATH")
_OF_DEVICE = ("DBIRTH", "DDATA", "DDEATH")


def ask_node(probe: Probe, *, is_running: bool, tries_publishing: bool) -> Iterator[Answer]:
    """Connect as the edge node of Sparkplug would, and try its topics; nobody receives anything.

    The client id and the will are those of the check, so a node that runs keeps its connection, its
    number (`bdSeq`) and its life. Only a broker that gives each login one session would end it; so
    where an agent may run and the node logs in, nothing is tried.

    Args:
        probe: asks for the agent.
        is_running: whether an agent is at work with these settings, here or elsewhere.
        tries_publishing: whether the broker takes messages that nobody receives.
    """
    settings = probe.settings
    section = settings.sparkplug
    if section is None:
        return
    link = settings.sparkplug_connection(section)
    if is_running and not probe.may_interrupt and (link.username or link.cert_file):
        yield Answer(
            "warn",
            "Sparkplug: the edge node is online, and a second connection with its login may end "
            "its own: login and topics were not tried. With --interrupt they are",
        )
        return
    own = replace(probe, link=link)
    topics = NodeTopics(section.group_id, section.edge_node_id or settings.gateway.id)
    try:
        yield from _of_node(own, topics, section.primary_host, tries_publishing=tries_publishing)
    except NotAcceptedError as exc:
        yield Answer(
            "FAIL",
            f"Sparkplug: connect as {link.client_id}: {exc}: correct sparkplug.username and "
            "sparkplug.password_file, or permit this login in the broker",
        )
    except BrokerError as exc:
        yield Answer("warn", f"Sparkplug: not everything was tried: {exc}")


def _of_node(
    probe: Probe, topics: NodeTopics, host: str | None, *, tries_publishing: bool
) -> Iterator[Answer]:
    wanted = [topics.node_commands, topics.device_commands, *([state_topic(host)] if host else [])]
    connection = probe.connect("node", expiry_s=0)
    try:
        refused = probe.subscribe(connection, [Subscription(one, 0, own=True) for one in wanted])
    finally:
        connection.close(forget_session=True)
    login = probe.link.username if probe.link and probe.link.username else "no login"
    yield Answer("ok", f"Sparkplug: connected with {login}, under a client id of the check")
    for one in refused:
        yield Answer("FAIL", f"subscribe {one}: the broker refuses it: permit the node to read it")
    if not tries_publishing:
        return
    own = [Output(topics.of(kind), topics.of(kind)) for kind in _OF_NODE]
    below = [
        Output(topics.of(one, MADE_UP), topics.of(one, "+"), is_real=False) for one in _OF_DEVICE
    ]
    codes = withheld(probe, [one.topic for one in (*own, *below)])
    for outputs in (own, below):
        yield from told("Sparkplug", {one: codes.get(one.topic) for one in outputs})
