"""`millhand-trainer push`: tell gateways what to run, and wait for their word.

A push selects among what is signed; it carries no model, and a gateway believes nothing in it but
stream and seq. The document is retained, so a gateway that is away takes it when it is back.
"""

import argparse
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

from models.control.documents import Current, Desired, Feedback, Status
from models.control.topics import ControlTopics
from trainer import broker
from trainer.broker import Broker, Message
from trainer.console import Console
from trainer.errors import BrokerError, PushError

TIMEOUT_S = 60.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WAIT_S = 0.2

Tell = Callable[[str, str], object]
"""Takes a gateway and what there is to say of it."""


def filters(stream: str, gateways: Sequence[str]) -> list[str]:
    """Topics on which the gateways answer."""
    return [
        topic
        for topics in map(ControlTopics, gateways)
        for topic in (topics.current(stream), topics.feedback, topics.status)
    ]


def push(
    connection: Broker, desired: Desired, gateways: Sequence[str], *, timeout_s: float, tell: Tell
) -> None:
    """Publish the desired state to every gateway, and return once all of them serve it.

    Args:
        connection: listens to `filters`.
        desired: what the gateways are to run.
        gateways: who is to run it.
        timeout_s: how long to wait for the last of them.
        tell: is told of every step on the way.

    Raises:
        PushError: who refused, with its code and message, and who did not answer.
        BrokerError: the broker is gone, or does not allow it.
    """
    _publish(connection, desired, gateways)
    waiting = dict.fromkeys(gateways, "did not answer")
    refused: dict[str, str] = {}
    deadline = time.monotonic() + timeout_s
    while waiting and time.monotonic() < deadline:
        for message in _heard(connection, waiting):
            document = read(message.topic, message.payload)
            gateway = ControlTopics.of(message.topic).gateway
            if gateway not in waiting or document is None:
                continue
            if isinstance(document, Status):
                waiting[gateway] = _presence(document)
            elif document.activity == desired.activity and isinstance(document, Feedback):
                _take_feedback(gateway, document, waiting, refused, tell)
            elif isinstance(document, Current) and _is_done(gateway, document, desired, tell):
                refused |= _failing(gateway, document)
                del waiting[gateway]
    if waiting or refused:
        told = {**refused, **{g: f"{w} within {timeout_s:g} s" for g, w in waiting.items()}}
        raise PushError("\n".join(f"{gateway}: {what}" for gateway, what in told.items()))


def _publish(connection: Broker, desired: Desired, gateways: Sequence[str]) -> None:
    """Publish the desired state until the broker has confirmed it for every gateway."""
    try:
        for gateway in gateways:
            topic = ControlTopics(gateway).desired(desired.stream)
            connection.publish(topic, desired.to_json(), retain=True)
        connection.flush()
    except BrokerError as exc:
        raise BrokerError(
            f"{exc}. Which gateways were told is not known; push once more, which does no harm"
        ) from exc


def _heard(connection: Broker, waiting: Mapping[str, str]) -> Sequence[Message]:
    """What has arrived; an error says what is known and what is not."""
    try:
        return connection.receive(_WAIT_S)
    except BrokerError as exc:
        names = ", ".join(waiting)
        raise BrokerError(
            f"{exc}. The broker has confirmed before what the gateways are to run, and keeps it "
            f"for them; what came of it is not known of {names}: push once more to hear it, which "
            "does no harm"
        ) from exc


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("stream", type=_name)
    parser.add_argument("seq", type=int)
    parser.add_argument(
        "--gateway", type=_name, action="append", required=True, help="may be given several times"
    )
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds, default 60")
    parser.add_argument(
        "--shadow",
        action="store_true",
        help="answer the same readings in the shadow of the bundle that serves, for comparison "
        "only; the gateway stays on that bundle until the next push",
    )
    broker.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Push, and print what the gateways say as they say it."""
    if options.seq < 1:
        raise PushError(f"seq is {options.seq}; the first bundle of a stream has seq 1")
    console = Console()
    gateways = list(dict.fromkeys(options.gateway))
    desired = Desired(
        activity=str(uuid.uuid4()),
        stream=options.stream,
        seq=options.seq,
        **({"shadow": True} if options.shadow else {}),
    )
    started = time.monotonic()

    def tell(gateway: str, what: str) -> None:
        console.print(f"{time.monotonic() - started:6.2f} s  {gateway}  {what}")

    with Broker(broker.address_of(options), filters(desired.stream, gateways)) as connection:
        push(connection, desired, gateways, timeout_s=options.timeout, tell=tell)
    return 0


def _failing(gateway: str, document: Current) -> dict[str, str]:
    """Why a gateway that serves the bundle is of no use; empty if it is."""
    if document.state != "degraded":
        return {}
    why = f"{document.reason}: {document.message}"
    return {gateway: f"serves it, but the model fails on live windows: {why}"}


def _is_done(gateway: str, document: Current, desired: Desired, tell: Tell) -> bool:
    """Whether the gateway runs what it was told to, where it was told to."""
    shadow = document.shadow
    if not desired.shadow:
        is_done = document.activity == desired.activity and document.seq == desired.seq
        if is_done := is_done and document.state != "waiting":
            tell(gateway, f"serves seq {desired.seq}, version {document.version}")
        return is_done
    if shadow is None or (shadow.activity, shadow.seq) != (desired.activity, desired.seq):
        return False
    if not shadow.gate:
        tell(gateway, f"has seq {shadow.seq} in the shadow of seq {document.seq}")
    return not shadow.gate


def _take_feedback(
    gateway: str,
    document: Feedback,
    waiting: dict[str, str],
    refused: dict[str, str],
    tell: Tell,
) -> None:
    state = document.state
    reason = f": {document.error}: {document.message}" if document.error else ""
    if state in ("refused", "rolled_back"):
        refused[gateway] = f"refused it{reason}"
        del waiting[gateway]
    elif state == "waiting":
        waiting[gateway] = f"is not there yet{reason}; it did not get there"
    tell(gateway, f"{state}{reason}")


def _presence(document: Status) -> str:
    if document.state == "offline":
        return "is offline and will take it when it is back; it did not answer"
    return "is online, but did not answer"


def read(topic: str, payload: bytes) -> Status | Current | Feedback | None:
    """What a gateway says on one of `filters`; None if it is not what it should be."""
    kinds: dict[str, type[Status | Current | Feedback]] = {"status": Status, "feedback": Feedback}
    kind = kinds.get(topic.rpartition("/")[2], Current)
    try:
        return kind.model_validate_json(payload)
    except ValueError:
        return None


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no name: letters, digits, '.', '_', '-'")
    return text
