"""`millhand-trainer push`: tell gateways what to run, and wait for their word.

A push selects among what is signed; it carries no model, and a gateway believes nothing in it but
stream and seq. The document is retained, so a gateway that is away takes it when it is back.
"""

import argparse
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer import broker
from trainer.broker import Broker
from trainer.console import Console
from trainer.errors import PushError

PREFIX = "millhand"
TIMEOUT_S = 60.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WAIT_S = 0.2

Tell = Callable[[str, str], object]
"""Takes a gateway and what there is to say of it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is pushed; `activity` tells this push from every other in the gateways' answers."""

    stream: str
    seq: int
    activity: str

    @property
    def document(self) -> bytes:
        """As the gateways read it."""
        wish = {"activity": self.activity, "stream": self.stream, "seq": self.seq}
        return json.dumps(wish).encode()


def filters(stream: str, gateways: Sequence[str]) -> list[str]:
    """Topics in which the gateways answer."""
    leaves = (f"current/{stream}", "feedback", "status")
    return [f"{PREFIX}/{gateway}/{leaf}" for gateway in gateways for leaf in leaves]


def push(
    connection: Broker, wish: Wish, gateways: Sequence[str], *, timeout_s: float, tell: Tell
) -> None:
    """Publish the wish to every gateway, and return once all of them serve it.

    Args:
        connection: listens to `filters`.
        wish: what to run.
        gateways: who is to run it.
        timeout_s: how long to wait for the last of them.
        tell: is told of every step on the way.

    Raises:
        PushError: who refused, with its code and message, and who did not answer.
        BrokerError: the broker is gone, or does not allow it.
    """
    for gateway in gateways:
        topic = f"{PREFIX}/{gateway}/desired/{wish.stream}"
        connection.publish(topic, wish.document, retain=True)
    connection.flush()
    waiting = dict.fromkeys(gateways, "did not answer")
    refused: dict[str, str] = {}
    deadline = time.monotonic() + timeout_s
    while waiting and time.monotonic() < deadline:
        for message in connection.receive(_WAIT_S):
            _, gateway, leaf = message.topic.split("/", 2)
            document = _parsed(message.payload)
            if gateway not in waiting:
                continue
            if leaf == "status":
                waiting[gateway] = _presence(document)
            elif document.get("activity") != wish.activity:
                continue
            elif leaf == "feedback":
                _take_feedback(gateway, document, waiting, refused, tell)
            elif (document.get("state"), document.get("seq")) == ("serving", wish.seq):
                tell(gateway, f"serves seq {wish.seq}, version {document.get('version')}")
                del waiting[gateway]
    if waiting or refused:
        told = {**refused, **{g: f"{w} within {timeout_s:g} s" for g, w in waiting.items()}}
        raise PushError("\n".join(f"{gateway}: {what}" for gateway, what in told.items()))


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("stream", type=_name)
    parser.add_argument("seq", type=int)
    parser.add_argument(
        "--gateway", type=_name, action="append", required=True, help="may be given several times"
    )
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds, default 60")
    broker.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Push, and print what the gateways say as they say it."""
    console = Console()
    gateways = list(dict.fromkeys(options.gateway))
    wish = Wish(options.stream, options.seq, str(uuid.uuid4()))
    started = time.monotonic()

    def tell(gateway: str, what: str) -> None:
        console.print(f"{time.monotonic() - started:6.2f} s  {gateway}  {what}")

    with Broker(broker.address_of(options), filters(wish.stream, gateways)) as connection:
        push(connection, wish, gateways, timeout_s=options.timeout, tell=tell)
    return 0


def _take_feedback(
    gateway: str,
    document: Mapping[str, Any],
    waiting: dict[str, str],
    refused: dict[str, str],
    tell: Tell,
) -> None:
    state, error = document.get("state"), document.get("error")
    reason = f": {error}: {document.get('message')}" if error else ""
    if state == "refused":
        refused[gateway] = f"refused it{reason}"
        del waiting[gateway]
    elif state == "waiting":
        waiting[gateway] = f"is not there yet{reason}; it did not get there"
    tell(gateway, f"{state}{reason}")


def _presence(document: Mapping[str, Any]) -> str:
    if document.get("state") == "offline":
        return "is offline and will take it when it is back; it did not answer"
    return "is online, but did not answer"


def _parsed(payload: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no name: letters, digits, '.', '_', '-'")
    return text
