"""Keeps the announcement to Home Assistant true: one retained message, removed with its streams.

    start, connect, another model, Home Assistant has started ──► the announcement, retained
    a stream or an asset is no longer configured              ──► its components with their platform
                                                                  alone, then without them
    the section is turned off                                 ──► an empty message, retained

What was announced is kept in `home_assistant.json`, since only who knows it can take it back.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.config.settings import Settings
from agent.control import Control
from agent.delivery.outgoing import Outgoing
from agent.home_assistant.components import Component, components
from agent.mqtt.subscription import Subscription
from agent.streams.pipeline import Pipeline
from models.files import write_atomically
from serving import log
from serving.worker import Worker

_BIRTH = b"online"


class Announced(BaseModel):
    """What Home Assistant was told, as it stands on disk.

    Attributes:
        topic: topic of the announcement; empty if there is none.
        platforms: platform of each component by its key.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: str = ""
    platforms: dict[str, str] = {}


class Announcement:
    """The announcement of one gateway. All methods belong to the hot thread, and none blocks.

    Args:
        settings: the configuration.
        pipelines: the streams, in the order of the configuration.
        control: names the topics of the gateway, and subscribes to the birth of Home Assistant.
        post: hands a message to the delivery.
        worker: writes the file.
    """

    def __init__(
        self,
        settings: Settings,
        pipelines: Sequence[Pipeline],
        control: Control,
        post: Callable[[Outgoing], None],
        worker: Worker,
    ) -> None:
        self._chosen, self._gateway = settings.home_assistant, settings.gateway.id
        self._topic = self._chosen.topic(self._gateway) if self._chosen.enabled else ""
        self._status = control.topics.status
        self._pipelines = pipelines if self._chosen.enabled else ()
        self._post, self._worker = post, worker
        self._path = settings.gateway.state_dir / "home_assistant.json"
        self._known = _read(self._path)
        self._last: object = None
        self._has_started = False
        if self._chosen.enabled:
            # Not its retained message: the announcement is published at each connect anyhow.
            control.further = (Subscription(self._chosen.birth_topic, qos=0),)

    def heard(self, topic: str, payload: bytes) -> bool:
        """Take a message; says whether it was the birth or the will of Home Assistant."""
        if not self._chosen.enabled or topic != self._chosen.birth_topic:
            return False
        self._has_started = self._has_started or payload == _BIRTH
        return True

    def tick(self, connects: int) -> None:
        """Publish what is not told yet; to be called about once a second while connected.

        However often Home Assistant starts, it is told at most once for each call.

        Args:
            connects: how often the agent has connected; at each, the broker may have forgotten.
        """
        models = [one.model.sha256 if one.model else "" for one in self._pipelines]
        state = (connects, models)
        is_told = state == self._last and not self._has_started
        if is_told or not (self._topic or self._known.topic):
            return
        self._last, self._has_started = state, False
        self._tell(dict(self._components()))

    def _components(self) -> Sequence[tuple[str, Component]]:
        return [
            found
            for one in self._pipelines
            if one.model is not None
            for found in components(
                self._gateway, one.settings, one.model.manifest, self._chosen.expire_after_s
            )
        ]

    def _tell(self, wanted: Mapping[str, Component]) -> None:
        known = self._known
        if known.topic and known.topic != self._topic:
            self._publish(known.topic, b"")
            known = Announced(topic=self._topic)
        platforms = {key: str(one["p"]) for key, one in wanted.items()}
        # A stream that is configured may get its model later.
        awaited = {key: known.platforms[key] for key in known.platforms if self._is_awaited(key)}
        kept = awaited | platforms
        gone = {key: p for key, p in known.platforms.items() if kept.get(key) != p}
        if gone and wanted:
            removed = {key: {"p": platform} for key, platform in gone.items()}
            self._publish(self._topic, self._document({**wanted, **removed}))
        if wanted:
            self._publish(self._topic, self._document(wanted))
        elif gone and not kept:
            self._publish(self._topic, b"")
        else:
            kept |= gone  # until there is a model, and with it an announcement
        told = Announced(topic=self._topic, platforms=kept)
        if told != self._known:
            self._known = told
            self._worker.submit(lambda: _write(self._path, told))

    def _is_awaited(self, key: str) -> bool:
        """Whether a component belongs to a stream and an asset that have no model yet."""
        return any(
            key == f"{one.stream}/{asset}" or key.startswith(f"{one.stream}/{asset}/")
            for one in self._pipelines
            if one.model is None
            for asset in one.settings.assets
        )

    def _document(self, wanted: Mapping[str, Component]) -> bytes:
        ours = version("millhand")
        available: dict[str, Any] = {
            "topic": self._status,
            "value_template": "{{ value_json.state }}",
            "payload_available": "online",
            "payload_not_available": "offline",
        }
        device = {
            "ids": [f"millhand/{self._gateway}"],
            "name": self._gateway,
            "mf": "millhand",
            "mdl": "gateway agent",
            "sw": ours,
        }
        origin = {"name": "millhand", "sw": ours}
        document = {"dev": device, "o": origin, "availability": [available], "cmps": wanted}
        return orjson.dumps(document)

    def _publish(self, topic: str, payload: bytes) -> None:
        self._post(Outgoing(topic, payload, 1, retain=True))


def _read(path: Path) -> Announced:
    try:
        return Announced.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Announced()
    except (OSError, ValidationError):
        log.warning("what Home Assistant was told is not known", file=path.name)
        return Announced()


def _write(path: Path, told: Announced) -> None:
    """On the worker. Without the file, a stream that is dropped later stays in Home Assistant."""
    try:
        write_atomically(path, told.model_dump_json().encode())
    except OSError as exc:
        log.warning("what Home Assistant is told cannot be recorded", reason=exc.strerror)
