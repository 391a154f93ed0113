"""The agent's settings: their names, the values that are allowed, and what must fit together.

Secrets are given as paths of files, never as values, so that none stands in the configuration or in
the environment of the process. Everything that can grow has its limit under `[limits]`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from agent.config.home_assistant import HomeAssistant
from agent.config.labels import check_labels
from agent.config.metrics import Metrics
from agent.config.shadow import Shadow
from agent.config.sparkplug import Sparkplug
from models.bundle.manifest import Name
from models.input.limits import IntakeLimits
from models.input.pipeline import Pipeline
from models.input.topics import TopicTemplate, check_delivered_once, overlap
from models.settings import Count, Seconds, Section
from serving.log import Level
from serving.mqtt import settings
from serving.preflight.toml_file import FileSettings
from serving.proof.settings import Proof
from serving.registry.settings import Registry
from serving.updates.settings import Updates

MAX_RECEIVE_MAXIMUM: Final = 65_535
"""Largest Receive Maximum that MQTT 5 allows (3.1.2.11.3)."""
MAX_IN_FLIGHT: Final = 32_768
"""Number of packet ids that the agent has for its own publishes; see `serving.mqtt.packets`."""
PACKET_ROOM_BYTES: Final = 2 << 16
"""Bytes of a packet beside its payload: a topic has at most 64 KiB (MQTT 5, 1.5.4), and properties
have as much room.
"""
TURNS_GATHERED: Final = 16
"""Turns of `limits.max_batch` messages that are received before any is answered, under overload.

Only where messages may be shed: which of them to drop is decided by all that wait (ADR 12).
"""


class Gateway(Section):
    """Name of the gateway, and the folder that must survive a restart.

    Attributes:
        id: name of the gateway, which is a level of its control topics.
        state_dir: folder for bundles, journal and registry state; by default that which systemd
            gives to the service.
    """

    id: Name
    state_dir: Path = Field(
        default_factory=lambda: Path(os.environ.get("STATE_DIRECTORY", "/var/lib/millhand"))
    )


class Broker(settings.Broker):
    """The MQTT connection. TLS is used when `ca_file` or `tls` is set.

    Attributes:
        host: host name or address of the broker.
        port: TCP port of the broker.
        client_id: MQTT client id; empty for `millhand-<gateway id>`. The broker finds the session
            by it, so no other client may have it.
        protocol: version of MQTT; `auto` tries 5 first, then 3.1.1.
        username: user name for the broker; None without one.
        password_file: file with the password, whose surrounding white space is ignored.
        tls: whether to use TLS with the certificate authorities of the system.
        ca_file: file with the certificate authorities to trust, in PEM; it turns TLS on.
        cert_file: file with the client certificate, in PEM; None without one.
        key_file: file with the key of `cert_file`, in PEM and without a password.
        keepalive_s: seconds of silence after which the broker takes the agent for lost, times 1.5
            (MQTT 5, 3.1.2.10).
        connect_timeout_s: seconds that connecting, and then the handshake, may take.
        reconnect_max_s: longest wait between two attempts to connect, seconds.
        session_expiry_s: seconds for which the broker keeps messages for an agent that is offline.
        receive_maximum: messages at QoS 1 that the broker may send ahead of the acknowledgements.
    """

    client_id: str = Field("", description="default: millhand-<gateway id>", max_length=128)
    session_expiry_s: Annotated[int, Field(ge=0, le=2**32 - 2)] = 86_400
    receive_maximum: Annotated[int, Field(ge=1, le=MAX_RECEIVE_MAXIMUM)] = 200


class ConnectionSettings(Broker):
    """Settings with which the agent connects: those of `[broker]`, and what others imply.

    Attributes:
        max_packet_bytes: bytes of the longest packet that the broker may send.
    """

    max_packet_bytes: int = (1 << 20) + PACKET_ROOM_BYTES


class Journal(Section):
    """The journal under `gateway.state_dir`, from which windows are restored after a crash."""

    enabled: bool = Field(default=True, description="false: windows start empty after a crash")
    sync: bool = Field(
        default=True,
        description="false: a power cut may lose the last second; a crash of the agent loses none",
    )
    file_inputs: Count = Field(5_000, description="readings after which a new file is begun")
    file_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20


class Log(Section):
    """What is written to standard error, which systemd's journal stores.

    Attributes:
        level: least severity of events that are logged. `info` has the steps in the life of the
            agent, `warning` what it recovers from by itself, `error` what needs a person.
    """

    level: Level = "info"


class Limits(IntakeLimits):
    """Limits of everything that can grow.

    Attributes:
        max_batch: messages that one turn of the hot loop answers.
        max_waiting: readings of a stream that may wait to be put in order of event time.
        max_topics: topics whose route is remembered.
        max_in_flight: predictions that may be without a confirmation of the broker.
        max_outbox: best-effort predictions that may wait for the socket; the oldest are dropped.
        max_refused: readings that may wait behind a prediction that the broker refuses.
        poison_deaths: deaths of the agent during one reading after which its model is not given
            that reading again.
        desired_s: seconds from one `desired` document of a stream that is acted on to the next; of
            those in between only the newest counts.
        rebirths_per_s: nodes of Sparkplug that are asked for their births in one second, all inputs
            together. Births are long, and a broker that restarts makes all nodes unknown at once.
        keep_bundles: bundles of each stream that stay on disk, the serving one included.
        keep_drift_s: seconds after which the counts of drift are written to disk.
        metrics_s: seconds after which the counters are published.
        log_interval_s: seconds in which a warning of one kind is logged at most once.
        stop_s: seconds that a stop may wait for confirmations of the broker.
        turn_s: seconds that inference may take in one turn of the hot loop. A slow model is given
            fewer windows at once, and one at least.
        inference_s: seconds after which an inference is interrupted, and its windows are answered
            BAD. It must be well below WatchdogSec= of the service.
        max_explained: predictions of a stream that one turn of the hot loop explains, within
            another `turn_s`; the others are published without their reasons, and counted.
    """

    max_batch: Count = 256
    max_waiting: Count = 100_000
    max_topics: Count = 100_000
    max_in_flight: Annotated[int, Field(ge=1, le=MAX_IN_FLIGHT)] = 10_000
    max_outbox: Count = 10_000
    max_refused: Count = 10
    poison_deaths: Annotated[int, Field(ge=2, le=100)] = 3
    desired_s: Seconds = 1.0
    rebirths_per_s: Count = 20
    keep_bundles: Annotated[int, Field(ge=2, le=100)] = 3
    keep_drift_s: Seconds = 60.0
    metrics_s: Seconds = 10.0
    log_interval_s: Seconds = 60.0
    stop_s: Seconds = 10.0
    turn_s: Seconds = 0.5
    inference_s: Seconds = 10.0
    max_explained: Count = 8

    @model_validator(mode="after")
    def _inference_is_longer_than_a_turn(self) -> Self:
        if self.inference_s < 2 * self.turn_s:
            raise ValueError(
                f"inference_s is {self.inference_s:g} and turn_s {self.turn_s:g}: inference_s must "
                f"be at least twice turn_s, or batches would be interrupted that are as long as "
                f"allowed"
            )
        return self


class Settings(FileSettings):
    """The whole configuration of one agent."""

    gateway: Gateway
    broker: Broker
    registry: Registry
    pipelines: Annotated[tuple[Pipeline, ...], Field(min_length=1, max_length=64)]
    limits: Limits = Limits()
    journal: Journal = Journal()
    updates: Updates = Updates()
    shadow: Shadow = Shadow()
    log: Log = Log()
    proof: Proof = Proof()
    sparkplug: Sparkplug | None = None
    home_assistant: HomeAssistant = HomeAssistant()
    metrics: Metrics = Metrics()

    @property
    def client_id(self) -> str:
        """MQTT client id of the agent."""
        return self.broker.client_id or f"millhand-{self.gateway.id}"

    @property
    def streams(self) -> list[str]:
        """Names of the streams, in the order of their pipelines."""
        return [pipeline.stream for pipeline in self.pipelines]

    @property
    def asks_for_births(self) -> bool:
        """Whether nodes of Sparkplug may be asked for their births."""
        return any(source.rebirth for one in self.pipelines for source in one.inputs)

    @property
    def secrets(self) -> Mapping[str, Path | None]:
        """Files with secrets by the key that names them; None where none is named."""
        broker = self.broker
        named = {"broker.password_file": broker.password_file, "broker.key_file": broker.key_file}
        if self.sparkplug is not None:
            named["sparkplug.password_file"] = self.sparkplug.password_file
        return named | self.registry.access.secrets

    @property
    def connection(self) -> ConnectionSettings:
        """Settings with which the agent connects to the broker.

        Where messages may be shed, Receive Maximum is raised to `TURNS_GATHERED` turns, since the
        policy can only choose among messages that the broker has sent. A packet may be as long as
        the longest payload needs.
        """
        sheds = any(pipeline.overload != "block" for pipeline in self.pipelines)
        seen = min(TURNS_GATHERED * self.limits.max_batch, MAX_RECEIVE_MAXIMUM) if sheds else 1
        implied = {
            "receive_maximum": max(self.broker.receive_maximum, seen),
            "max_packet_bytes": self.limits.max_payload_bytes + PACKET_ROOM_BYTES,
        }
        return ConnectionSettings.model_construct(**{**dict(self.broker), **implied})

    def sparkplug_connection(self, section: Sparkplug) -> ConnectionSettings:
        """Settings with which the edge node of Sparkplug connects, without a session to keep."""
        own = {"client_id": section.client_id or f"{self.client_id}-sparkplug"}
        login = {"username": section.username, "password_file": section.password_file}
        changed = own | {"session_expiry_s": 0} | (login if section.username else {})
        return ConnectionSettings.model_construct(**{**dict(self.connection), **changed})

    @model_validator(mode="after")
    def _streams_differ_and_do_not_feed_themselves(self) -> Self:
        repeated = {stream for stream in self.streams if self.streams.count(stream) > 1}
        if repeated:
            raise ValueError(f"each stream has one pipeline; repeated: {sorted(repeated)}")
        inputs = [source for pipeline in self.pipelines for source in pipeline.inputs]
        for pipeline in self.pipelines:
            output = pipeline.output_topic.replace("{stream}", pipeline.stream)
            written = [TopicTemplate(output).filter]
            if pipeline.output.scalars:
                written.append(f"{written[0]}/+")
            for source in inputs:
                if any(overlap(source.filter, topic) for topic in written):
                    raise ValueError(
                        f"input topic '{source.topic}' would read the predictions written to "
                        f"'{pipeline.output_topic}'"
                    )
        return self

    @model_validator(mode="after")
    def _labels_have_topics_of_their_own(self) -> Self:
        check_labels(self.pipelines, self.gateway.id)
        return self

    @model_validator(mode="after")
    def _announcement_is_bounded(self) -> Self:
        self.home_assistant.check(self.gateway.id, self.pipelines)
        return self

    @model_validator(mode="after")
    def _inputs_are_delivered_once(self) -> Self:
        inputs = [source for pipeline in self.pipelines for source in pipeline.inputs]
        check_delivered_once(name for source in inputs for name in source.filters)
        return self

    @model_validator(mode="after")
    def _inputs_know_their_limit(self) -> Self:
        node = self.sparkplug
        own = (node.group_id, node.edge_node_id or self.gateway.id) if node is not None else None
        for pipeline in self.pipelines:
            for source in pipeline.inputs:
                source.limit(self.limits.max_payload_bytes, own)
        return self
