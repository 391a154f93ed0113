"""The load generator against a real broker, and answers that are not as they should be."""

import json
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.contenders.contender import limit
from benchmarks.errors import BenchmarkError
from benchmarks.load.broker import running_broker
from benchmarks.load.compiler import compiled
from benchmarks.load.workload import BLOCK_1K, ROWS, SCALARS, Outcome, Shape, Workload, driving
from tests.kit.broker.brokers import installed
from tests.kit.gateway.mqtt_client import MqttClient, PlantClient
from tests.kit.waiting import eventually
from tests.kit.wording import naming

MISSING, REPEATED, UNKNOWN = "a001", "a002", "a003"
ASSETS = 5
SEQ = 7
STRANGE = (
    ("plant/l1/a000/_inference/forest", b""),
    ("plant/l1/a000/_inference/forest", b"{}"),
    ("plant/l1/a000/_inference/forest", b'{"timestamp":null,"value":null}'),
    ("plant/l1/a000/_inference/forest", b'{"timestamp":1,"value":-1}'),
    ("plant/l1/a004/_inference/forest", b'{"timestamp":99999999999999,"value":99999999}'),
    ("plant/l1/a004/_inference/forest", struct.pack("<f", float("nan"))),
    ("plant/l1/a005/_inference/forest", b'{"timestamp":1700000000000,"value":0}'),
)
"""No name, none that could be given, an asset that is none."""
NEVER_SENT = 1_000
"""So many readings of an asset are not sent."""


class Way(NamedTuple):
    """How readings come and are answered."""

    shape: Shape
    qos: int
    name_in: Callable[[bytes], int]  # the payload of the last message of a reading
    answer_to: Callable[[int], bytes]


class Responder(MqttClient):
    """Answers readings: some assets' as is right, some not, and some more than right.

    Attributes:
        readings: that were complete, by asset.
    """

    def __init__(self, port: int, way: Way) -> None:
        self.readings: Counter[str] = Counter()
        self._way = way
        self._strange = cycle((*STRANGE, None))
        self._held: list[tuple[str, bytes]] = []
        super().__init__(port, [way.shape.readings])

    def take(self, topic: str, payload: bytes) -> None:
        for answer_topic, answer in self._answers(topic, payload):
            self.publish(answer_topic, answer, self._way.qos)

    def _answers(self, topic: str, payload: bytes) -> Iterator[tuple[str, bytes]]:
        asset, last = topic.split("/")[2], topic.rpartition("/")[2]
        if last != self._way.shape.last:
            return
        self.readings[asset] += 1
        answered, name = f"plant/l1/{asset}/_inference/forest", self._way.name_in(payload)
        right = answered, self._way.answer_to(name)
        if self.readings.total() == 1:
            self._held.append(right)  # the first is to be answered when it no longer counts
            return
        if asset == MISSING:
            yield from self._held
            self._held.clear()
            return
        yield right
        if asset == REPEATED:
            yield right
        if asset == UNKNOWN:
            yield next(self._strange) or (answered, self._way.answer_to(name + NEVER_SENT))


@pytest.fixture(scope="module")
def load() -> str:
    """Path of the load generator; a source that does not compile is an error."""
    if shutil.which("cc") is None or not Path("/usr/include/mosquitto.h").exists():
        pytest.skip("a C compiler or libmosquitto is not installed")
    return compiled("generator")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of the benchmark's broker."""
    if installed("mosquitto") is None:
        pytest.skip("mosquitto is not installed")
    with running_broker(tmp_path) as port:
        yield port


def timestamp_in(payload: bytes) -> int:
    return int(json.loads(payload)["timestamp"])


def number_in(block: bytes) -> int:
    """Its first sample."""
    return int(struct.unpack_from("<f", block)[0])


def document(name: int) -> bytes:
    """As a contender answers a row or a scalar."""
    return b'{"seq":%d,"timestamp":%d}' % (SEQ, name)


def prediction(name: int) -> bytes:
    """As the agent answers a block."""
    return b'{"value":%d.0,"quality":"GOOD","seq":%d}' % (name, SEQ)


def samples(name: int) -> bytes:
    """As the limit answers a block."""
    return struct.pack("<3f", name, 1.5, -2.5)


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(Way(ROWS, 0, timestamp_in, document), id="rows"),
        pytest.param(Way(SCALARS, 1, timestamp_in, document), id="scalars"),
        pytest.param(Way(BLOCK_1K, 1, number_in, prediction), id="blocks-predicted"),
        pytest.param(Way(BLOCK_1K, 0, number_in, samples), id="blocks-given-back"),
    ],
)
def test_missing_repeated_and_unknown_answers_are_counted_exactly(
    load: str, port: int, tmp_path: Path, way: Way
) -> None:
    trace = tmp_path / "trace"
    workload = Workload(way.qos, 0.3, way.shape, ASSETS, rate=200, warmup_s=0.05, trace=trace)
    with Responder(port, way) as responder, driving(load, port, workload) as driven:
        seen = driven.outcome()
    readings = responder.readings
    # What the first asset sent before somebody answered does not count.
    early = readings.total() - seen.sent
    assert early > 0
    assert early <= readings["a000"]
    assert min(readings.values()) > len(STRANGE)
    assert seen.sent - seen.answered == readings[MISSING]
    assert seen.repeated == readings[REPEATED]
    assert seen.unknown == readings[UNKNOWN]
    seqs = [line.split()[1] for line in trace.read_text().splitlines()]
    assert len(seqs) == seen.answered
    assert set(seqs) == {"-1" if way.answer_to is samples else str(SEQ)}


def forwarded(load: str, port: int, folder: Path, workload: Workload) -> Outcome:
    """What comes of a workload that the limit serves."""
    child = limit().child(limit().command(port, workload.qos, workload.shape), folder / "log")
    with child, driving(load, port, workload) as driven:
        driven.until_driving()
        return driven.outcome()


@pytest.mark.parametrize("shape", [ROWS, SCALARS, BLOCK_1K])
def test_limit_answers_every_reading_once(
    load: str, port: int, tmp_path: Path, shape: Shape
) -> None:
    workload = Workload(1, 0.1, shape, assets=3, window=16, fill=4, warmup_s=0.0)
    seen = forwarded(load, port, tmp_path, workload)
    assert 0 < seen.sent == seen.answered
    assert (seen.repeated, seen.unknown) == (0, 0)
    assert seen.rate > 0
    assert seen.p50_us <= seen.p99_us <= seen.p999_us
    assert seen.first_answer_ns < seen.last_answer_ns


@pytest.mark.usefixtures("load")
def test_limit_gives_back_no_more_than_a_prediction(port: int, tmp_path: Path) -> None:
    block = bytes(range(256)) * 48

    def answered() -> bool:
        client.publish("plant/l1/a000/vibration", block)
        return bool(client.messages)

    answer = "plant/l1/a000/_inference/forwarded"
    child = limit().child(limit().command(port, 1, BLOCK_1K), tmp_path / "log")
    with child, PlantClient(port, [answer]) as client:
        eventually(answered)
        assert client.messages[0] == (answer, block[:240])


def test_load_refuses_what_it_cannot_do(load: str) -> None:
    with (
        driving(load, 1883, Workload(0, 1.0, assets=0)) as driven,
        pytest.raises(BenchmarkError, match=naming("--assets", "0", "1 to 10000")),
    ):
        driven.outcome()
