"""A fuzz of the packet codec: it compares the agent's codec with paho's own encoder and decoder.

Hypothesis makes the examples from a seed, which is printed. It reduces an example that fails to the
smallest one, whose bytes are printed as hex. `--seed` makes the same examples again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from serving.mqtt.packets import (
    MQTT_5,
    MalformedError,
    Publish,
    Received,
    Skipped,
    Writer,
    puback,
)
from serving.mqtt.reader import Reader
from tests.kit.broker.packets import (
    OTHER_PACKETS,
    Message,
    Read,
    cuts,
    damaged,
    damages,
    flagged,
    inbound,
    packet_ids,
    paho_publish,
    paho_read,
    pubacks,
    pubrels,
    split,
    user_properties,
    versions,
)

EXAMPLES = 400
"""Number of examples of each property in a round."""

_MAX_PACKET_BYTES = 1 << 20
_SMALL_PACKET_BYTES = 100
_EVERYTHING = 1 << 20

_words = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5)
_properties = st.lists(st.tuples(_words, _words), max_size=2)
_packets = st.lists(
    st.tuples(inbound, _properties) | pubacks | pubrels | st.sampled_from(OTHER_PACKETS),
    max_size=6,
)
_Check = tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]
_Packets = list[tuple[Message, list[tuple[str, str]]] | bytes]


class DifferenceError(Exception):
    """The codec and paho disagree about some bytes."""


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """The result of a fuzz.

    Attributes:
        seeds: the first and the last seed.
        minutes: minutes that it took.
        examples: number of examples that were tried.
        failure: the smallest example that failed, and how; empty where none did.
    """

    seeds: tuple[int, int]
    minutes: float
    examples: int
    failure: str

    @property
    def is_good(self) -> bool:
        """Whether no example failed."""
        return not self.failure

    @property
    def line(self) -> str:
        """The result in one line."""
        tried = (
            f"fuzz of the codec: {self.minutes:.1f} minutes, {self.examples:,} examples, "
            f"seeds {self.seeds[0]} to {self.seeds[1]}"
        )
        return f"{tried}: {self.failure or 'no difference from paho'}"


@dataclass(frozen=True, slots=True)
class _Stream:
    """What was read from a stream of bytes, and whether the codec refused it as malformed."""

    received: tuple[Received, ...]
    at_qos_2: tuple[int, ...]
    confirmations: tuple[tuple[int, int], ...]
    released: tuple[int, ...]
    others: bytes
    malformed: bool


def fuzz(
    first_seed: int, minutes: float, begun: Callable[[int], None], examples: int = EXAMPLES
) -> Fuzzed:
    """Try one seed after the other.

    Args:
        first_seed: seed of the first round.
        minutes: minutes until no further round is begun.
        begun: function that is called with the seed of each round before it begins.
        examples: number of examples of each property in a round; the examples of a seed depend on
            it.
    """
    started, tried, failure, last = time.monotonic(), 0, "", first_seed
    for number in count(first_seed):
        begun(number)
        last = number
        for check in _CHECKS:
            failure = _round(check, number, examples)
            tried += examples
            if failure:
                break
        gone = (time.monotonic() - started) / 60
        if failure or gone >= minutes:
            break
    return Fuzzed((first_seed, last), (time.monotonic() - started) / 60, tried, failure)


def _round(check: _Check, number: int, examples: int) -> str:
    holds, strategies = check
    profile = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],
    )
    try:
        seed(number)(profile(given(*strategies)(holds)))()
    except DifferenceError as exc:
        return f"FAILED with --seed {number}: {exc}"
    return ""


def _is_written_as_paho_writes_it(version: int, message: Message) -> None:
    publish = Publish(
        message.topic,
        message.payload,
        message.qos,
        retain=message.retain,
        packet_id=message.packet_id,
        repeated=message.repeated,
    )
    ours, theirs = Writer(version).publish(publish), paho_publish(version, message)
    _same(ours, theirs, ours, "written by us, and by paho")
    back = paho_read(version, ours).received
    wanted = message._replace(packet_id=message.packet_id if message.qos else 0)
    _same(back, [wanted], ours, "as paho reads what we have written")


def _puback_is_one_that_paho_reads(version: int, packet_id: int) -> None:
    packet = puback(packet_id)
    _same(paho_read(version, packet).confirmations, [(packet_id, 0)], packet, "as paho reads it")


def _is_read_as_paho_reads_it(version: int, packets: _Packets, places: list[int]) -> None:
    stream = _bytes(version, packets)
    ours, theirs = _read(version, [stream]), paho_read(version, stream)
    if ours.malformed or theirs.refused:
        raise DifferenceError(f"a valid stream is refused: v{version} {stream.hex()}")
    _same(_as_messages(ours), _plain(theirs), stream, "PUBLISHes as we and as paho read them")
    at_qos_2 = [one.packet_id for one in theirs.received if one.qos > 1]
    _same([*ours.at_qos_2], at_qos_2, stream, "PUBLISHes at QoS 2 as we and as paho read them")
    _same(
        [*ours.confirmations], theirs.confirmations, stream, "PUBACKs as we and as paho read them"
    )
    _same([*ours.released], theirs.released, stream, "PUBRELs as we and as paho read them")
    others = b"".join(one for one in packets if isinstance(one, bytes) and one in OTHER_PACKETS)
    _same(ours.others, others, stream, "the other packets")
    _is_the_same_in_pieces(version, stream, places)


def _damage_is_read_as_paho_reads_it(
    version: int, packets: _Packets, harm: list[tuple[str, int, bytes]], places: list[int]
) -> None:
    """Either may refuse more than the other: paho looks at properties, the codec at packet ids."""
    stream = damaged(_bytes(version, packets), harm)
    ours, theirs = _read(version, [stream]), paho_read(version, stream)
    agreed = min(len(ours.received), len(theirs.received))
    _same(_as_messages(ours)[:agreed], _plain(theirs)[:agreed], stream, "PUBLISHes of damage")
    if not (ours.malformed or theirs.refused):
        _same(len(ours.received), len(theirs.received), stream, "how many PUBLISHes")
    _is_the_same_in_pieces(version, stream, places)


def _noise_is_read_or_refused(version: int, stream: bytes, places: list[int]) -> None:
    _is_the_same_in_pieces(version, stream, places)


def _oversized_is_skipped(version: int, messages: list[Message], places: list[int]) -> None:
    stream = b"".join(paho_publish(version, one) for one in messages)
    pieces = _read(version, split(stream, places), at_a_time=1, most_bytes=_SMALL_PACKET_BYTES)
    found = [(isinstance(one.payload, Skipped), len(one.payload)) for one in pieces.received]
    # A skipped payload is counted with the length of the properties, which is a byte here.
    wanted = [
        (skipped, len(one.payload) + (skipped and version == MQTT_5))
        for one in messages
        for skipped in [_length(version, one) > _SMALL_PACKET_BYTES]
    ]
    _same(found, wanted, stream, f"payloads, cut at {places}")
    back = [one._replace(payload=b"") for one in _as_messages(pieces)]
    plain = [one._replace(payload=b"") for one in _plain(paho_read(version, stream))]
    _same(back, plain, stream, f"heads, cut at {places}")


def _length(version: int, message: Message) -> int:
    """Bytes of a PUBLISH without properties, behind its Remaining Length."""
    topic_bytes = len(message.topic.encode())
    return 2 + topic_bytes + 2 * (message.qos > 0) + (version == MQTT_5) + len(message.payload)


_CHECKS: tuple[_Check, ...] = (
    (_is_written_as_paho_writes_it, (versions, flagged)),
    (_puback_is_one_that_paho_reads, (versions, packet_ids)),
    (_is_read_as_paho_reads_it, (versions, _packets, cuts)),
    (_damage_is_read_as_paho_reads_it, (versions, _packets, damages, cuts)),
    (_noise_is_read_or_refused, (versions, st.binary(max_size=300), cuts)),
    (_oversized_is_skipped, (versions, st.lists(inbound, max_size=5), cuts)),
)


def _same(ours: object, theirs: object, content: bytes, what: str) -> None:
    if ours != theirs:
        raise DifferenceError(f"{what}: {ours!r} is not {theirs!r}; bytes {content.hex()}")


def _is_the_same_in_pieces(version: int, stream: bytes, places: list[int]) -> None:
    """Check that cuts in the stream, and the number of packets read at a time, change nothing.

    Packets before a malformed one may be lost with it if they came in one piece: the connection
    ends there, and whatever was neither acknowledged nor confirmed is sent again.
    """
    whole, single = _read(version, [stream]), _read(version, [stream], at_a_time=1)
    pieces = _read(version, split(stream, places), at_a_time=1)
    for other in (single, pieces):
        _same(other.malformed, whole.malformed, stream, f"refused, cut at {places}")
        if not whole.malformed:
            _same(other, whole, stream, f"cut at {places}")
        agreed = min(len(single.received), len(other.received))
        _same(other.received[:agreed], single.received[:agreed], stream, f"cut at {places}")


def _read(
    version: int,
    chunks: list[bytes],
    at_a_time: int = _EVERYTHING,
    most_bytes: int = _MAX_PACKET_BYTES,
) -> _Stream:
    reader = Reader(version, most_bytes)
    received: list[Received] = []
    at_qos_2: list[int] = []
    confirmations: list[tuple[int, int]] = []
    released: list[int] = []
    others, malformed = bytearray(), False
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while reader.has_packets:
                block = reader.read(at_a_time, 0)
                received += block.received
                at_qos_2 += block.at_qos_2
                released += block.released
                confirmations += block.confirmations
                others += block.others
    except MalformedError:
        malformed = True
    except Exception as exc:
        raise DifferenceError(f"{exc!r} in v{version}, pieces {[*map(bytes.hex, chunks)]}") from exc
    return _Stream(
        tuple(received),
        tuple(at_qos_2),
        tuple(confirmations),
        tuple(released),
        bytes(others),
        malformed,
    )


def _plain(read: Read) -> list[Message]:
    """What paho has read, with QoS 1 where it is 2: the codec names those at QoS 2 elsewhere."""
    return [one._replace(qos=min(one.qos, 1)) for one in read.received]


def _as_messages(stream: _Stream) -> list[Message]:
    return [
        Message(
            one.topic,
            one.payload,
            int(one.packet_id > 0),
            one.packet_id,
            one.retained,
            one.repeated,
        )
        for one in stream.received
    ]


def _bytes(version: int, packets: _Packets) -> bytes:
    made = []
    for one in packets:
        if isinstance(one, bytes):
            # MQTT 3.1.1 has no reason code behind the packet id.
            is_short = version != MQTT_5 and one not in OTHER_PACKETS
            made.append(bytes([one[0], 2]) + one[2:4] if is_short else one)
        else:
            message, pairs = one
            made.append(paho_publish(version, message, user_properties(pairs)))
    return b"".join(made)
