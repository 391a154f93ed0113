"""What the broker keeps for an agent that is away, and how much it sends ahead."""

from collections.abc import Iterator, Sequence
from statistics import median
from time import monotonic

from agent.cli.connect.probe import Probe
from agent.mqtt.connection import Connection
from agent.mqtt.subscription import Subscription
from serving.mqtt.errors import REFUSED_FROM, BrokerError, refusal_of
from serving.preflight.answer import Answer

TRIAL_MESSAGES = 1_200  # above 1,000, the default limit of Mosquitto's queue
_IN_FLIGHT = 20
_QUIET_S = 1.0
_LOW_WINDOW = 10
_ROUND_TRIPS = 2
"""Of one reading: its prediction and the confirmation; its acknowledgement and the next reading."""
_ANSWER_S = 0.001  # what reading, window, model and journal take at least
_SINGLE = 9  # messages of the trial that are sent one by one
_NOT_TRIED = "what is kept for a gateway that is away was not tried"
ONE_SESSION = "the broker gives each login one session"


def ask_queue(probe: Probe) -> Iterator[Answer]:
    """Publish while a session has no connection, and count what the broker has kept for it."""
    connection = probe.connect("queue")
    refused = probe.subscribe(connection, [Subscription(probe.topic, 1)])
    connection.close(forget_session=bool(refused))
    if refused:
        yield Answer("warn", f"{_NOT_TRIED}: the broker refuses to subscribe {probe.topic}")
        return
    try:
        round_trip_s = _fill(probe)
    except BrokerError as exc:
        yield Answer("warn", f"{_NOT_TRIED}: {exc}")
        return
    connection = probe.connect("queue")
    window = kept = 0
    if connection.session_present:
        window, kept = _drain(probe, connection)
    connection.unsubscribe([probe.topic])
    connection.close(forget_session=True)
    yield _told_queue(kept)
    if window:
        windows = (window, connection.max_in_flight)
        yield _told_window(probe, windows, round_trip_s)


def _fill(probe: Probe) -> float:
    """Publish the messages of the trial; returns the round trip of one, a median in seconds.

    Raises:
        BrokerError: the broker does not take them, in words.
    """
    connection = probe.connect("trial")
    if connection.session_present:
        connection.close(forget_session=True)
        raise BrokerError(ONE_SESSION)
    room = max(1, min(connection.max_in_flight, _IN_FLIGHT))
    left = TRIAL_MESSAGES
    round_trips_s: list[float] = []
    try:
        while left:
            is_single = len(round_trips_s) < _SINGLE
            count = 1 if is_single else min(left, room)
            began_s = monotonic()
            codes = probe.publish(connection, [probe.topic] * count, 1)
            _check_taken(probe, codes)
            if is_single:
                round_trips_s.append(monotonic() - began_s)
            left -= count
    finally:
        connection.close(forget_session=True)
    return median(round_trips_s)


def _check_taken(probe: Probe, codes: Sequence[int | None]) -> None:
    for code in codes:
        if code is None:
            raise BrokerError("the broker does not confirm in time")
        if code >= REFUSED_FROM:
            raise BrokerError(f"publish {probe.topic}: {refusal_of(code)}")


def _drain(probe: Probe, connection: Connection) -> tuple[int, int]:
    """Take in what was kept, until nothing more comes.

    Returns:
        How many messages came before the first was acknowledged, and how many in all.
    """
    waiting = _arrived(probe, connection, 0, acknowledges=False)
    for packet_id in waiting:
        connection.acknowledge(packet_id)
    rest = _arrived(probe, connection, len(waiting), acknowledges=True) if waiting else []
    return len(waiting), len(waiting) + len(rest)


def _arrived(probe: Probe, connection: Connection, known: int, *, acknowledges: bool) -> list[int]:
    """Packet ids of the messages that come until nothing comes any more, or all are there."""
    packet_ids: list[int] = []
    quiet_s = monotonic() + _QUIET_S
    while known + len(packet_ids) < TRIAL_MESSAGES and monotonic() < quiet_s:
        probe.turn(connection)
        if connection.lost:
            break
        for message in connection.received:
            packet_ids.append(message.packet_id)
            if acknowledges:
                connection.acknowledge(message.packet_id)
            quiet_s = monotonic() + _QUIET_S
        connection.received.clear()
    return packet_ids


def _told_queue(kept: int) -> Answer:
    if not kept:
        return Answer(
            "warn",
            f"none of {TRIAL_MESSAGES} messages for a gateway that is away has arrived: the broker "
            "keeps no sessions, or its access rules do not permit to read the topic of the trial",
        )
    if kept < TRIAL_MESSAGES:
        return Answer(
            "warn",
            f"of {TRIAL_MESSAGES} messages for a gateway that is away, {kept} are kept: the"
            " others are lost without a word; see config/mosquitto.conf",
        )
    return Answer(
        "ok",
        f"keeps {kept} messages for a gateway that is away; over its own restart only with"
        " persistence, which cannot be asked: see config/mosquitto.conf",
    )


def _told_window(probe: Probe, windows: tuple[int, int], round_trip_s: float) -> Answer:
    """What the windows cost: a reading leaves them only once its prediction is confirmed.

    Args:
        probe: whose settings say what was asked for.
        windows: readings that the broker sends ahead of their acknowledgement, and predictions that
            it takes ahead of its own.
        round_trip_s: seconds from a message to its confirmation.
    """
    readings, predictions = windows
    smaller = min(windows)
    rate = smaller / (_ROUND_TRIPS * round_trip_s + _ANSWER_S)
    text = (
        f"in flight: the broker sends {readings} readings ahead of their acknowledgement, and "
        f"takes {predictions} predictions ahead of its own; with a round trip of "
        f"{round_trip_s * 1e3:.2f} ms that allows about {rate:,.0f} readings a second at most"
    )
    if smaller >= min(_LOW_WINDOW, probe.settings.limits.max_batch):
        return Answer("ok", text)
    is_ours = readings == probe.settings.connection.receive_maximum and readings < predictions
    theirs = "the broker's limit (Mosquitto: max_inflight_messages)"
    remedy = "broker.receive_maximum" if is_ours else theirs
    return Answer("warn", f"{text}; for more, raise {remedy}")
