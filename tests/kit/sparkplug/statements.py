"""The statements of Sparkplug 3.0.0 for edge nodes, by their ids: whether a session keeps them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from tests.kit.broker.scripted import PUBACK, PUBLISH, SUBSCRIBE
from tests.kit.sparkplug.host import NODE
from tests.kit.sparkplug.node import T0_MS
from tests.kit.sparkplug.play import ASSETS, BASE, FIRST_REQUEST, Session
from tests.kit.sparkplug.recorded import Sent

DATA, BIRTHS = ("NDATA", "DDATA"), ("NBIRTH", "DBIRTH")
INT64, BOOLEAN, INT32 = 4, 11, 3
Check = Callable[[Session], bool]


def on(version: int, check: Check) -> Check:
    """A check that only one version of MQTT has."""
    return lambda session: session.version != version or check(session)


def hosted(check: Check) -> Check:
    """A check that only a session with a primary host has."""
    return lambda session: not session.has_host or check(session)


def each(*kinds: str) -> Callable[[Callable[[Sent], bool]], Check]:
    """A check of every message of some types, of which there are some."""

    def of(check: Callable[[Sent], bool]) -> Check:
        return lambda session: bool(session.of(*kinds)) and all(map(check, session.of(*kinds)))

    return of


def metrics(*kinds: str) -> Callable[[Callable[[Any], bool]], Check]:
    """A check of every metric of such messages, of which there are some."""

    def of(check: Callable[[Any], bool]) -> Check:
        def holds(session: Session) -> bool:
            found = [metric for sent in session.of(*kinds) for metric in sent.payload.metrics]
            return bool(found) and all(map(check, found))

        return holds

    return of


def topic_is(sent: Sent) -> bool:
    device = f"/{sent.device}" if sent.kind.startswith("D") else ""
    named = {asset.replace("/", ":") for asset in ASSETS}
    return sent.topic == f"{BASE}/{sent.kind}/{NODE}{device}" and (
        not device or sent.device in named
    )


def at_qos_0(sent: Sent) -> bool:
    return (sent.qos, sent.is_retained) == (0, False)


def is_in_time(*kinds: str) -> Check:
    """The payload has the time, in UTC, at which it was published."""
    return lambda session: each(*kinds)(
        lambda sent: session.began_ms <= sent.payload.timestamp <= session.ended_ms
    )(session)


def follows(*kinds: str) -> Check:
    """The sequence number is the one after that of the message before, of whatever type."""

    def holds(session: Session) -> bool:
        last, seen = -1, 0
        for sent in session.messages:
            if sent.kind == "NDEATH":
                continue
            wanted = 0 if sent.kind == "NBIRTH" else (last + 1) % 256
            if sent.kind in kinds:
                seen += 1
                if not sent.payload.HasField("seq") or sent.payload.seq != wanted:
                    return False
            last = sent.payload.seq
        return seen > 0

    return holds


def number_of(sent: Sent) -> int:
    metric = sent.metric("bdSeq")
    return int(metric.long_value) if metric.datatype == INT64 else -1


def has_number_of_will(session: Session) -> bool:
    """Births and deaths have the number of the will of their connection."""
    wills = [one.will for one in session.opened]
    return all(
        will is not None and number_of(sent) == number_of(will)
        for sent in session.of("NBIRTH", "NDEATH")
        for will in [wills[sent.connection - 1]]
    )


def numbers_rise(session: Session) -> bool:
    found = [number_of(one.will) for one in session.opened if one.will is not None]
    return found == list(range(len(session.opened))) and len(found) > 1


def wills(check: Callable[[Sent], bool]) -> Check:
    return lambda session: all(one.will is not None and check(one.will) for one in session.opened)


def says_goodbye(session: Session) -> bool:
    """An NDEATH is the last message before every DISCONNECT."""
    return bool(session.goodbyes) and all(sent.kind == "NDEATH" for sent, _ in session.goodbyes)


def births_come_first(session: Session) -> bool:
    """On each connection an NBIRTH is the first message, if there is one."""
    firsts = {one.connection: one.kind for one in reversed(session.messages)}
    return len(firsts) > 1 and set(firsts.values()) == {"NBIRTH"}


def all_births_before_data(session: Session) -> bool:
    """Between an NBIRTH and the first data are the births of all devices that were alive."""
    alive: set[str] = set()
    due: set[str] = set()
    for sent in session.messages:
        if sent.kind == "NBIRTH":
            due = set(alive)
        elif sent.kind == "DBIRTH":
            alive.add(sent.device)
            due.discard(sent.device)
        elif sent.kind == "DDEATH":
            alive.discard(sent.device)
        elif sent.kind in DATA and (due or (sent.device and sent.device not in alive)):
            return False
    return len(session.of("NBIRTH")) > 1


def stops_at_once(session: Session) -> bool:
    """Nothing but the birth of the node follows, once the node has taken a request for births."""
    kinds: list[str] = []
    is_asked = False
    messages = iter(session.messages)
    for packet in session.packets:
        if packet.kind == PUBACK and packet.packet_id >= FIRST_REQUEST:
            is_asked = True
        elif packet.kind == PUBLISH:
            sent = next(messages)
            if is_asked:
                kinds.append(sent.kind)
            is_asked = False
    return len(kinds) > 1 and set(kinds) == {"NBIRTH"}


def subscribes_first(name: str) -> Check:
    """A topic filter is asked for at QoS 1, and before anything is published."""

    def holds(session: Session) -> bool:
        return session.subscribed.get(name) == 1 and all(
            next(one.kind for one in packets if one.kind in (SUBSCRIBE, PUBLISH)) == SUBSCRIBE
            for packets in session.connections
        )

    return holds


def is_given(metric: Any) -> bool:  # noqa: ANN401  of the runtime
    """The metric has a value, or the flag that it is null, and not both."""
    return (metric.WhichOneof("value") is None) == bool(metric.is_null)


def is_rebirth(sent: Sent) -> bool:
    metric = sent.metric("Node Control/Rebirth")
    return (metric.datatype, metric.WhichOneof("value"), metric.boolean_value) == (
        BOOLEAN,
        "boolean_value",
        False,
    )


def is_in_order(sent: Sent) -> bool:
    times = [one.timestamp for one in sent.payload.metrics if not one.is_historical]
    return all(before <= after for before, after in pairwise(times))


def told(session: Session, *kinds: str) -> Iterator[tuple[bool, bool]]:
    """Whether the alias of each metric of data is one of the last births, and its value is new."""
    last: dict[int, object] = {}
    for sent in session.messages:
        if sent.kind == "NBIRTH":
            last = {}
        changed = False
        known = True
        for metric in sent.payload.metrics:
            if not metric.HasField("alias"):
                continue
            field = metric.WhichOneof("value")
            quality = [one.int_value for one in metric.properties.values if one.type == INT32]
            value = (field and getattr(metric, field), quality)
            known = known and (sent.kind in BIRTHS or metric.alias in last)
            changed = changed or metric.is_historical or last.get(metric.alias) != value
            last[metric.alias] = value
        if sent.kind in kinds:
            yield known, changed


def knows_all(*kinds: str) -> Check:
    return lambda session: all(known for known, _ in told(session, *kinds))


def is_news(*kinds: str) -> Check:
    return lambda session: all(changed for _, changed in told(session, *kinds))


def aliases_are_unique(session: Session) -> bool:
    """An alias stands for one metric of the whole node."""
    names: dict[int, set[tuple[str, str]]] = {}
    for sent in session.of(*BIRTHS):
        for metric in sent.payload.metrics:
            if metric.HasField("alias"):
                names.setdefault(metric.alias, set()).add((sent.device, metric.name))
    return len(names) > 6 and all(len(one) == 1 for one in names.values())


def has_name_and_alias(metric: Any) -> bool:  # noqa: ANN401  of the runtime
    is_control = metric.name in ("bdSeq", "Node Control/Rebirth")
    return bool(metric.name) and metric.HasField("alias") != is_control


def properties(check: Callable[[Any], bool]) -> Check:
    return metrics(*BIRTHS, "DDATA")(lambda metric: check(metric.properties))


def qualities(check: Callable[[Any], bool]) -> Check:
    """A check of every property Quality, of which there are some."""

    def holds(session: Session) -> bool:
        found = [
            value
            for sent in session.messages
            for metric in sent.payload.metrics
            for key, value in zip(metric.properties.keys, metric.properties.values, strict=True)
            if key == "Quality"
        ]
        return {0, 500} <= {one.int_value for one in found} and all(map(check, found))

    return holds


def differ(names: Sequence[str]) -> bool:
    return len({name.lower() for name in names}) == len(names)


def is_time_of_event(metric: Any) -> bool:  # noqa: ANN401  of the runtime
    return T0_MS - 1000 < int(metric.timestamp) < T0_MS + 1000


def silent(*states: str) -> Check:
    """Nothing is published when the primary host is said to be so, before it is online."""
    return hosted(lambda session: not any(sum(session.sent_after[one]) for one in states))


def leaves_with_host(session: Session) -> bool:
    """The first connection ends with the state offline, and not with the older one before."""
    births = [one for one in session.of("NBIRTH") if one.connection == 1]
    return len(session.opened) == 2 and len(births) == 4 and len(session.goodbyes) == 2


def has(*wanted: str) -> Check:
    return lambda session: set(wanted) <= {one.kind for one in session.messages}


of_all = each("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH")
CHECKS: Final[Sequence[tuple[Check, str]]] = (
    (
        on(4, lambda session: all(one.is_clean for one in session.opened)),
        "principles-persistence-clean-session-311",
    ),
    (
        on(5, lambda session: all(one.is_clean and not one.expiry_s for one in session.opened)),
        "principles-persistence-clean-session-50",
    ),
    (
        births_come_first,
        "principles-birth-certificates-order message-flow-edge-node-birth-publish-connect",
    ),
    (
        wills(lambda will: will.topic == f"{BASE}/NDEATH/{NODE}"),
        """
        message-flow-edge-node-birth-publish-will-message payloads-ndeath-will-message
        message-flow-edge-node-birth-publish-will-message-topic topics-ndeath-topic
        """,
    ),
    (
        wills(lambda will: will.qos == 1),
        "message-flow-edge-node-birth-publish-will-message-qos payloads-ndeath-will-message-qos",
    ),
    (
        wills(lambda will: not will.is_retained),
        """
        message-flow-edge-node-birth-publish-will-message-will-retained
        payloads-ndeath-will-message-retain
        """,
    ),
    (
        wills(lambda will: [one.name for one in will.payload.metrics] == ["bdSeq"]),
        "message-flow-edge-node-birth-publish-will-message-payload topics-ndeath-payload",
    ),
    (wills(lambda will: not will.payload.HasField("seq")), "topics-ndeath-seq payloads-ndeath-seq"),
    (
        numbers_rise,
        """
        message-flow-edge-node-birth-publish-will-message-payload-bdSeq
        topics-nbirth-bdseq-increment
        """,
    ),
    (
        has_number_of_will,
        """
        topics-nbirth-bdseq-included topics-nbirth-bdseq-matching payloads-nbirth-bdseq
        payloads-nbirth-bdseq-repeat payloads-ndeath-bdseq
        message-flow-edge-node-birth-publish-nbirth-payload-bdSeq
        operational-behavior-data-commands-rebirth-action-3
        """,
    ),
    (
        says_goodbye,
        """
        operational-behavior-edge-node-intentional-disconnect-ndeath
        operational-behavior-edge-node-intentional-disconnect-packet
        payloads-ndeath-will-message-publisher
        payloads-ndeath-will-message-publisher-disconnect-mqtt311
        """,
    ),
    (
        on(5, lambda session: [body[:1] for _, body in session.goodbyes] == [b"\x04"]),
        "payloads-ndeath-will-message-publisher-disconnect-mqtt50",
    ),
    (subscribes_first(f"{BASE}/NCMD/{NODE}"), "message-flow-edge-node-ncmd-subscribe"),
    (subscribes_first(f"{BASE}/DCMD/{NODE}/+"), "message-flow-device-dcmd-subscribe"),
    (
        of_all(topic_is),
        """
        topic-structure topic-structure-namespace-a
        topic-structure-namespace-device-id-associated-message-types
        topic-structure-namespace-device-id-non-associated-message-types
        intro-group-id-string intro-edge-node-id-string intro-device-id-string
        """,
    ),
    (
        of_all(lambda sent: not set("+#") & set(sent.topic) and sent.topic.count("/") in (3, 4)),
        """
        topic-structure-namespace-valid-group-id
        topic-structure-namespace-valid-edge-node-id
        topic-structure-namespace-valid-device-id intro-group-id-chars
        intro-edge-node-id-chars intro-device-id-chars
        """,
    ),
    (
        each("NBIRTH")(topic_is),
        "topics-nbirth-topic message-flow-edge-node-birth-publish-nbirth-topic",
    ),
    (
        each("NBIRTH")(at_qos_0),
        """
        topics-nbirth-mqtt payloads-nbirth-qos payloads-nbirth-retain
        message-flow-edge-node-birth-publish-nbirth-qos
        message-flow-edge-node-birth-publish-nbirth-retained
        """,
    ),
    (
        follows("NBIRTH"),
        """
        topics-nbirth-seq-num payloads-nbirth-seq payloads-sequence-num-req-nbirth
        message-flow-edge-node-birth-publish-nbirth-payload-seq
        """,
    ),
    (is_in_time("NBIRTH"), "topics-nbirth-timestamp payloads-nbirth-timestamp"),
    (
        metrics("NBIRTH")(lambda one: bool(one.name) and bool(one.datatype) and is_given(one)),
        """
        topics-nbirth-metrics message-flow-edge-node-birth-publish-nbirth-payload
        operational-behavior-data-publish-nbirth-values
        """,
    ),
    (knows_all("NDATA"), "topics-nbirth-metric-reqs operational-behavior-data-publish-nbirth"),
    (
        each("NBIRTH")(is_rebirth),
        """
        topics-nbirth-rebirth-metric payloads-nbirth-rebirth-req
        operational-behavior-data-commands-rebirth-name
        operational-behavior-data-commands-rebirth-datatype
        operational-behavior-data-commands-rebirth-value
        """,
    ),
    (
        each("NBIRTH")(lambda sent: not sent.metric("Node Control/Rebirth").HasField("alias")),
        "operational-behavior-data-commands-rebirth-name-aliases",
    ),
    (each("NBIRTH", "NDATA")(is_in_order), "operational-behavior-data-publish-nbirth-order"),
    (each("NDATA")(topic_is), "topics-ndata-topic"),
    (each("NDATA")(at_qos_0), "topics-ndata-mqtt payloads-ndata-qos payloads-ndata-retain"),
    (follows("NDATA"), "topics-ndata-seq-num payloads-ndata-seq payloads-ndata-seq-inc"),
    (is_in_time("NDATA"), "topics-ndata-timestamp payloads-ndata-timestamp"),
    (
        is_news("NDATA"),
        "topics-ndata-payload operational-behavior-data-publish-nbirth-change",
    ),
    (
        each("DBIRTH")(topic_is),
        """
        topics-dbirth-topic message-flow-device-birth-publish-dbirth-topic
        message-flow-device-birth-publish-dbirth-match-edge-node-topic
        """,
    ),
    (
        each("DBIRTH")(at_qos_0),
        """
        topics-dbirth-mqtt payloads-dbirth-qos payloads-dbirth-retain
        message-flow-device-birth-publish-dbirth-qos
        message-flow-device-birth-publish-dbirth-retained
        """,
    ),
    (
        follows("DBIRTH"),
        """
        topics-dbirth-seq payloads-dbirth-seq payloads-dbirth-seq-inc
        message-flow-device-birth-publish-dbirth-payload-seq
        """,
    ),
    (is_in_time("DBIRTH"), "topics-dbirth-timestamp payloads-dbirth-timestamp"),
    (
        metrics("DBIRTH")(lambda one: bool(one.name) and bool(one.datatype) and is_given(one)),
        """
        topics-dbirth-metrics message-flow-device-birth-publish-dbirth-payload
        operational-behavior-data-publish-dbirth-values
        """,
    ),
    (knows_all("DDATA"), "topics-dbirth-metric-reqs operational-behavior-data-publish-dbirth"),
    (
        all_births_before_data,
        """
        message-flow-device-birth-publish-nbirth-wait payloads-dbirth-order
        payloads-ndata-order payloads-ddata-order
        operational-behavior-data-commands-rebirth-action-1
        operational-behavior-data-commands-rebirth-action-2
        """,
    ),
    (stops_at_once, "operational-behavior-data-commands-rebirth-action-1"),
    (each("DBIRTH", "DDATA")(is_in_order), "operational-behavior-data-publish-dbirth-order"),
    (each("DDATA")(topic_is), "topics-ddata-topic"),
    (each("DDATA")(at_qos_0), "topics-ddata-mqtt payloads-ddata-qos payloads-ddata-retain"),
    (follows("DDATA"), "topics-ddata-seq-num payloads-ddata-seq payloads-ddata-seq-inc"),
    (is_in_time("DDATA"), "topics-ddata-timestamp payloads-ddata-timestamp"),
    (
        is_news("DDATA"),
        """
        topics-ddata-payload operational-behavior-data-publish-dbirth-change
        principles-rbe-recommended
        """,
    ),
    (has("DDEATH"), "operational-behavior-device-ddeath"),
    (each("DDEATH")(topic_is), "topics-ddeath-topic"),
    (each("DDEATH")(at_qos_0), "topics-ddeath-mqtt"),
    (
        follows("DDEATH"),
        """
        topics-ddeath-seq-num payloads-ddeath-seq payloads-ddeath-seq-inc
        payloads-ddeath-seq-number
        """,
    ),
    (is_in_time("DDEATH"), "payloads-ddeath-timestamp"),
    (
        follows("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH"),
        "payloads-sequence-num-always-included payloads-sequence-num-incrementing",
    ),
    (is_in_time("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH"), "payloads-timestamp-in-UTC"),
    (
        metrics(*BIRTHS, *DATA)(lambda one: one.HasField("name") or one.HasField("alias")),
        "payloads-name-requirement",
    ),
    (aliases_are_unique, "payloads-alias-uniqueness"),
    (metrics(*BIRTHS)(has_name_and_alias), "payloads-alias-birth-requirement"),
    (
        metrics(*DATA)(lambda one: one.HasField("alias") and not one.HasField("name")),
        "payloads-alias-data-cmd-requirement",
    ),
    (
        metrics(*BIRTHS, *DATA)(lambda one: one.HasField("timestamp")),
        "payloads-name-birth-data-requirement",
    ),
    (metrics("DBIRTH", "DDATA")(is_time_of_event), "payloads-metric-timestamp-in-UTC"),
    (
        metrics(*BIRTHS)(lambda one: one.datatype in range(1, 35)),
        """
        payloads-metric-datatype-value-type payloads-metric-datatype-value
        payloads-metric-datatype-req
        """,
    ),
    (
        metrics(*DATA)(lambda one: not one.HasField("datatype")),
        "payloads-metric-datatype-not-req",
    ),
    (
        properties(lambda found: len(found.keys) == len(found.values)),
        "payloads-propertyset-keys-array-size payloads-propertyset-values-array-size",
    ),
    (
        properties(lambda found: all(one.type in range(1, 15) for one in found.values)),
        """
        payloads-metric-propertyvalue-type-type payloads-metric-propertyvalue-type-value
        payloads-metric-propertyvalue-type-req
        """,
    ),
    (qualities(lambda one: one.type == INT32), "payloads-propertyset-quality-value-type"),
    (
        qualities(lambda one: one.int_value in (0, 192, 500)),
        "payloads-propertyset-quality-value-value",
    ),
    (
        each(*BIRTHS)(lambda sent: differ([one.name for one in sent.payload.metrics])),
        "case-sensitivity-metric-names",
    ),
    (
        lambda session: differ(list({one.device for one in session.of("DBIRTH")})),
        "case-sensitivity-sparkplug-ids",
    ),
    (
        silent("another host online", "offline", "online before that"),
        """
        message-flow-edge-node-birth-publish-phid-wait
        operational-behavior-edge-node-birth-sequence-wait
        """,
    ),
    (silent("another host online"), "message-flow-edge-node-birth-publish-phid-wait-id"),
    (silent("offline"), "message-flow-edge-node-birth-publish-phid-wait-online"),
    (silent("online before that"), "message-flow-edge-node-birth-publish-phid-wait-timestamp"),
    (
        hosted(subscribes_first("spBv1.0/STATE/scada")),
        "operational-behavior-primary-application-state-with-multiple-servers-state-subs",
    ),
    (
        hosted(leaves_with_host),
        """
        message-flow-edge-node-birth-publish-phid-offline
        operational-behavior-edge-node-termination-host-offline
        operational-behavior-edge-node-termination-host-offline-reconnect
        operational-behavior-edge-node-termination-host-offline-timestamp
        """,
    ),
)
BY_ID: Final[Mapping[str, Check]] = {
    statement: check for check, statements in CHECKS for statement in statements.split()
}
