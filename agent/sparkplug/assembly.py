"""The edge node from its settings, imported only where they are there."""

from collections.abc import Iterable
from functools import partial
from itertools import count
from time import monotonic, monotonic_ns, time_ns

from agent.config.settings import Settings
from agent.config.sparkplug import Sparkplug
from agent.mqtt.reconnect import Reconnector
from agent.mqtt.session_record import SessionRecord
from agent.sparkplug.birth_number import BirthNumber
from agent.sparkplug.commands import Commands
from agent.sparkplug.devices import Bounds, Devices
from agent.sparkplug.messages import Messages
from agent.sparkplug.node import EdgeNode, Parts
from agent.sparkplug.primary_host import PrimaryHost
from agent.sparkplug.stream import Stream
from agent.sparkplug.topics import NodeTopics
from agent.streams.pipeline import Pipeline
from serving.worker import Worker


def edge_node(
    settings: Settings, section: Sparkplug, pipelines: Iterable[Pipeline], worker: Worker
) -> EdgeNode:
    """Put the node together, and have it told of every prediction; nothing is connected yet.

    Args:
        settings: the configuration.
        section: its section `[sparkplug]`.
        pipelines: the streams of the gateway.
        worker: opens connections.
    """
    limits, state_dir = settings.limits, settings.gateway.state_dir
    topics = NodeTopics(section.group_id, section.edge_node_id or settings.gateway.id)
    alias = partial(next, count(1))
    streams = [Stream(pipeline, alias, _now_ms) for pipeline in pipelines]
    bounds = Bounds(
        limits.max_assets, section.max_waiting, section.max_age_s * 1e9, limits.log_interval_s
    )
    devices = Devices(streams, topics, alias, bounds, monotonic_ns)
    number = BirthNumber(state_dir)
    messages = Messages(
        topics, number, _now_ms, limits.log_interval_s, has_types=section.typed_data
    )
    broker = settings.sparkplug_connection(section)
    link = Reconnector(
        broker,
        record=SessionRecord(state_dir, broker, broker.client_id, ""),  # no session is kept
        will=messages.will,
        worker=worker,
        clock=monotonic,
    )
    link.opening = number.counted
    commands = Commands(topics, monotonic, limits.log_interval_s)
    host = PrimaryHost(section.primary_host) if section.primary_host else None
    for stream, pipeline in zip(streams, pipelines, strict=True):
        pipeline.inference.tap = partial(devices.note, stream)
    return EdgeNode(topics, streams, devices, Parts(link, messages, commands, host))


def _now_ms() -> int:
    return time_ns() // 1_000_000
