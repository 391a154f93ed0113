"""Sessions of an edge node, played against a scripted broker, with all that the node has sent."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from models.input.quality import Quality
from tests.kit.broker.packets import Message, paho_publish
from tests.kit.broker.scripted import DISCONNECT, PUBACK, PUBLISH, SUBSCRIBE, ScriptedBroker
from tests.kit.sparkplug.host import GROUP, NODE, Payload
from tests.kit.sparkplug.node import T0_MS, RunningNode, running
from tests.kit.sparkplug.recorded import Recorded

BASE: Final = f"spBv1.0/{GROUP}"
ASSETS: Final = ("l1/p0", "l1/p1")
FIRST_REQUEST: Final = 1_000
"""Least packet id of a request for births."""
_BOOLEAN: Final = 11


@dataclass(frozen=True)
class Session(Recorded):
    """What a node has sent, and what it had sent when it was told something of its host.

    Attributes:
        sent_after: messages that were sent when it was told, by what was told; each time it was.
    """

    sent_after: Mapping[str, Sequence[int]]

    @property
    def has_host(self) -> bool:
        return bool(self.sent_after)


class Play:
    """Plays one session, and hears what the node sends."""

    def __init__(self, broker: ScriptedBroker, version: int, one: RunningNode) -> None:
        self.broker, self.version, self.one = broker, version, one
        self.sent_after: dict[str, list[int]] = {}
        self._ids = count(1)

    def until(self, kind: str, number: int = 1, device: str = "") -> None:
        topic = f"{BASE}/{kind}/{NODE}" + (f"/{device}" if device else "")
        self.one.turn_until(lambda: len(self.broker.published(topic)) >= number)

    def tell(self, what: str, host: str, at_ms: int, *, online: bool) -> None:
        """Have the state of a host told, and wait until the node has heard of it."""
        before = len(self.broker.sent(PUBLISH))
        number = self.send_state(host, at_ms, online=online)
        self.one.turn_until(lambda: number in [one.packet_id for one in self.broker.sent(PUBACK)])
        self.one.turn_until(lambda: True)
        self.sent_after.setdefault(what, []).append(len(self.broker.sent(PUBLISH)) - before)

    def send_state(self, host: str, at_ms: int, *, online: bool) -> int:
        number = next(self._ids)
        state = json.dumps({"online": online, "timestamp": at_ms}).encode()
        message = Message(f"spBv1.0/STATE/{host}", state, 1, number)
        self.broker.send(paho_publish(self.version, message))
        return number

    def wait_for_host(self, first_ms: int) -> None:
        self.tell("another host online", "other", first_ms + 9000, online=True)
        self.tell("offline", "scada", first_ms, online=False)
        self.tell("online before that", "scada", first_ms - 1, online=True)
        self.tell("online", "scada", first_ms + 1000, online=True)

    def ask_for_births(self) -> None:
        payload = Payload(timestamp=T0_MS)
        metric = payload.metrics.add(name="Node Control/Rebirth", datatype=_BOOLEAN)
        metric.boolean_value = True
        number = FIRST_REQUEST + next(self._ids)
        message = Message(f"{BASE}/NCMD/{NODE}", payload.SerializeToString(), 1, number)
        self.broker.send(paho_publish(self.version, message))
        self.one.turn_until(lambda: number in [one.packet_id for one in self.broker.sent(PUBACK)])

    def predict(self) -> None:
        """Births of two devices with two streams, and data of every quality and order."""
        for asset in ASSETS:
            self.one.predict(asset, 1.0)
            self.one.predict(asset, 1.0, stream="mass", before_ms=50)
            self.until("DBIRTH", device=asset.replace("/", ":"))
        self.one.predict("l1/p0", 2.0)
        self.one.predict("l1/p0", 2.0, stream="mass", before_ms=5)
        self.until("DDATA", 1, "l1:p0")
        for quality in Quality:
            self.one.predict("l1/p0", None if quality is Quality.BAD else 3.0, quality=quality)
            self.until("DDATA", 2 + quality.value, "l1:p0")
        self.one.predict("l1/p0", 9.0, before_ms=500)
        self.until("DDATA", 5, "l1:p0")
        self.one.swap("life", 2)
        self.one.predict("l1/p1", 4.0)
        self.until("NDATA")

    def be_born_again(self) -> None:
        self.ask_for_births()
        self.until("NBIRTH", 2)
        self.one.predict("l1/p1", 5.0)
        self.until("DBIRTH", 2, "l1:p1")
        self.until("DDATA", 2, "l1:p1")
        self.ask_for_births()  # too soon: it has to wait, and so have the data
        self.one.predict("l1/p1", 6.0)
        self.until("DBIRTH", 3, "l1:p1")

    def let_die(self) -> None:
        """Have the inputs of all assets gone until their devices are dead, and one of them back."""
        for device in ("l1:p0", "l1:p1"):
            self.one.turn_until(partial(self._is_dead, f"{BASE}/DDEATH/{NODE}/{device}"))
        self.one.predict("l1/p0", 6.0)
        self.until("DBIRTH", 4, "l1:p0")

    def _is_dead(self, topic: str) -> bool:
        self.one.node.tick()
        return bool(self.broker.published(topic))

    def end(self) -> None:
        """Have the session broken off, or the primary host gone, and another one begun."""
        if not self.sent_after:
            self.broker.cut()
            self.until("NBIRTH", 4)
            return
        self.tell("offline before that", "scada", 500, online=False)
        self.ask_for_births()
        self.until("NBIRTH", 4)  # it is still connected
        self.send_state("scada", 20_000, online=False)
        self.one.turn_until(lambda: len(self.broker.sent(SUBSCRIBE)) == 2)
        self.wait_for_host(21_000)
        self.until("NBIRTH", 5)


@contextmanager
def played(folder: Path, version: int) -> Iterator[Play]:
    host: dict[str, object] = {"primary_host": "scada"} if version == 4 else {}
    protocol = "5" if version == 5 else "3.1.1"
    with (
        ScriptedBroker(version) as broker,
        running(folder, broker, protocol, ("life", "mass"), max_age_s=0.05, **host) as one,
    ):
        play = Play(broker, version, one)
        if host:
            one.turn_until(lambda: broker.sent(SUBSCRIBE))
            play.wait_for_host(1_000)
        play.until("NBIRTH")
        yield play
        one.node.leave()
        broker.wait_for(DISCONNECT, 2 if host else 1)


def recorded(folder: Path, version: int) -> Session:
    began_ms = now_ms()
    with played(folder, version) as play:
        play.predict()
        play.be_born_again()
        play.let_die()
        play.end()
    packets = [*play.broker.packets]
    return Session(version, packets, began_ms, now_ms(), dict(play.sent_after))


def now_ms() -> int:
    return time.time_ns() // 1_000_000
