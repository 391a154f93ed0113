"""`python -m benchmarks.turn`: the cost of each part of a turn of the hot loop.

It is measured from the bytes of PUBLISHes to the bytes of predictions, in one process, without a
broker and without a socket, for workload A with the forest of 100 trees. Every turn has the same
number of messages, and the confirmations of the turn before. Printed are microseconds for a
message, medians over the turns; `--profile` prints the functions that take the longest instead.
"""

import argparse
import cProfile
import pstats
import random
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from statistics import median
from time import perf_counter_ns, time_ns

from agent.config.settings import Limits
from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Outcome
from agent.mqtt.transport import Transport
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from benchmarks.errors import BenchmarkError
from benchmarks.load.workload import LARGEST_VALUE, ROWS
from benchmarks.served import bundle, forest
from models.bundle.package import read_bundle
from models.input.pipeline import Pipeline as PipelineSettings
from serving import memory
from serving.model import Model
from serving.mqtt.packets import MQTT_5, Publish, Writer, puback
from serving.session import Session

PARTS = ("read", "take", "answer", "publish", "send")
SIZES = (1, 10, 64, 256)
_ASSETS, _MESSAGES, _MAX_TURNS = 100, 40_000, 4_000


class Script:
    """A socket that receives prepared bytes, and sends everything at once."""

    def __init__(self) -> None:
        self.incoming = b""

    def recv(self, _buffer_size: int, /) -> bytes:
        """Return the bytes of this turn."""
        return self.incoming

    def send(self, content: bytes | bytearray, /) -> int:
        """Send all of it."""
        return len(content)


class Loop:
    """The parts of the hot loop, with a connection without a network.

    Args:
        pipeline: the pipeline with its model.
        qos: QoS of readings and predictions.
    """

    max_in_flight, max_packet_bytes, wants_write = 20_000, 1 << 20, False

    def __init__(self, pipeline: Pipeline, qos: int) -> None:
        limits = Limits(max_in_flight=self.max_in_flight)
        self.delivery = Delivery(limits.max_in_flight, limits.max_outbox)
        self._router = Router(
            {pipeline.stream: pipeline}, lambda *_: False, self.delivery, limits, lambda _: 0
        )
        self._pipeline, self._qos = pipeline, qos
        self._transport, self._socket = Transport(MQTT_5, 1 << 20), Script()
        self._unconfirmed: list[int] = []

    def publish(self, message: Publish) -> None:
        """Queue one prediction, which is confirmed in the next turn."""
        self._transport.publish(message)
        if message.qos:
            self._unconfirmed.append(message.packet_id)

    def turn(self, incoming: bytes) -> list[int]:
        """Run one turn; return when it began and when each part ended, nanoseconds."""
        confirmations, self._unconfirmed = map(puback, self._unconfirmed), []
        self._socket.incoming = b"".join((*confirmations, incoming))
        at_ns = [perf_counter_ns()]
        block = self._transport.receive(self._socket, 10_000, self._pipeline.clock)
        at_ns.append(perf_counter_ns())
        self._router.receive(block.received)
        at_ns.append(perf_counter_ns())
        self._router.answer()
        at_ns.append(perf_counter_ns())
        for packet_id, reason_code in block.confirmations:
            self.delivery.confirmed(packet_id, reason_code)
        self.delivery.pump(self)
        for packet_id in self.delivery.acknowledgeable():
            self._transport.acknowledge(packet_id)
        at_ns.append(perf_counter_ns())
        self._transport.send(self._socket)
        at_ns.append(perf_counter_ns())
        return at_ns


def readings(qos: int, size: int) -> Iterator[bytes]:
    """Yield the bytes of one turn after the other, with readings like the load generator's."""
    dice, writer = random.Random(1), Writer(MQTT_5)
    began_ms = time_ns() // 1_000_000
    packets = (
        writer.publish(
            Publish(
                f"plant/l1/a{n % _ASSETS}/telemetry",
                _row(dice, began_ms + n),
                qos,
                packet_id=n % 60_000 + 1,
            )
        )
        for n in count()
    )
    while True:
        yield b"".join(islice(packets, size))


def _row(dice: random.Random, time_ms: int) -> bytes:
    values = (f'"{signal}":{dice.uniform(0.0, LARGEST_VALUE):.3f}' for signal in ROWS.signals)
    return f'{{"timestamp":{time_ms},{",".join(values)}}}'.encode()


def measure(session: Session, qos: int, size: int) -> list[float]:
    """Return microseconds for a message of each part, medians over the second half of the turns."""
    loop = Loop(_pipeline(session, qos), qos)
    turns = min(_MAX_TURNS, _MESSAGES // size)
    incoming = list(islice(readings(qos, size), turns))
    taken = [loop.turn(content) for content in incoming]
    answered = loop.delivery.outcomes[Outcome.PREDICTED]
    if answered < (turns - 1) * size:
        raise BenchmarkError(f"{answered} of {turns * size} readings were answered")
    return [
        median(at_ns[part + 1] - at_ns[part] for at_ns in taken[turns // 2 :]) / size / 1e3
        for part in range(len(PARTS))
    ]


def _pipeline(session: Session, qos: int) -> Pipeline:
    source = {"topic": "plant/l1/{asset}/telemetry", "timestamp": "timestamp", "qos": qos}
    settings = {"stream": ROWS.stream, "inputs": [source], "output": {"qos": qos}}
    # The source times are ahead of the clock, by a second for a thousand messages.
    pipeline = Pipeline(PipelineSettings.model_validate(settings), Limits(max_future_s=3600))
    pipeline.activate(Model(session, "0" * 64))
    return pipeline


def _session() -> Session:
    with tempfile.TemporaryDirectory(prefix="millhand-turn-") as folder:
        model = forest.model(forest.fitted(), ROWS, 1)
        path = bundle.write(Path(folder), model, ROWS, 1)
        return Session(read_bundle(path.read_bytes()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turn", description=__doc__)
    parser.add_argument(
        "--profile", type=int, metavar="SIZE", help="profile turns of SIZE messages"
    )
    options = parser.parse_args()
    session = _session()
    memory.settle()
    if options.profile:
        with cProfile.Profile() as profile:
            measure(session, 1, options.profile)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    print(f"{'us a message':18}{''.join(f'{part:>9}' for part in (*PARTS, 'all'))}")
    for qos in (0, 1):
        for size in SIZES:
            parts = measure(session, qos, size)
            cells = "".join(f"{part:9.2f}" for part in (*parts, sum(parts)))
            print(f"QoS {qos}, turns of {size:3}{cells}", flush=True)


if __name__ == "__main__":
    main()
