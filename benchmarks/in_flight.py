"""`python -m benchmarks.in_flight`: readings a second where the broker sends few ahead.

Every reading enters a window, so it is acknowledged only once it is in the journal on disk, and a
broker at its limit sends nothing meanwhile. The readings wait in the broker's session when the
agent starts; measured is the time from the first answer to the last. The agent asks for the limit
by its Receive Maximum (MQTT 5), or the broker has it (`max_inflight_messages`, MQTT 3.1.1).
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.machine import machine_line
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import MqttClient
from tests.kit.waiting import eventually

WINDOWS = (1, 2, 5, 20, 200)
PROTOCOLS = ("5", "3.1.1")
_BASE_MS = 1_700_000_000_000
_LENGTH, _ASSETS = 3, 5
_STREAM = "mass"
_DRAIN_S = 120.0


class _Scada(MqttClient):
    """Notes when each prediction came."""

    def __init__(self, port: int) -> None:
        self.at_s: list[float] = []
        super().__init__(port, ["plant/+/+/_inference/#"])

    def take(self, topic: str, payload: bytes) -> None:  # noqa: ARG002  only the time counts
        """Note the time of one prediction."""
        self.at_s.append(time.monotonic())


def measure(folder: Path, window: int, protocol: str, readings: int) -> float:
    """Readings a second of an agent that drains a session.

    Args:
        folder: folder for all files.
        window: number of messages that the broker sends ahead.
        protocol: version of MQTT, `5` or `3.1.1`.
        readings: number of readings that wait.

    Raises:
        BenchmarkError: not every reading was answered.
    """
    broker_section: dict[str, object] = {"protocol": protocol, "receive_maximum": window}
    with mosquitto(
        folder / "broker", max_queued_messages=0, max_inflight_messages=window
    ) as broker:
        gateway = Gateway(
            folder / "gateway",
            broker.port,
            [telemetry_pipeline(_STREAM)],
            sections={"broker": broker_section if protocol == "5" else {"protocol": protocol}},
        )
        gateway.keep(linear_bundle(_STREAM, 1, [1.0, 10.0], length=_LENGTH))
        with gateway, _Scada(broker.port) as scada, MqttClient(broker.port) as plant:
            gateway.start_serving()
            gateway.stop()
            for number in range(readings):
                row = {"ts": _BASE_MS + number, "c0": 1.0, "c1": 2.0}
                plant.publish(f"plant/l1/p{number % _ASSETS}/telemetry", row)
            plant.flush()
            gateway.start_serving()
            wanted = readings - _ASSETS * (_LENGTH - 1)
            try:
                eventually(lambda: len(scada.at_s) >= wanted, _DRAIN_S, f"{wanted} answers")
            except AssertionError as exc:
                raise BenchmarkError(str(exc)) from exc
            return wanted / (scada.at_s[-1] - scada.at_s[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_flight", description=__doc__)
    parser.add_argument("--readings", type=int, default=2_000, help="readings that wait (2000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case (3)")
    options = parser.parse_args()
    print("| in flight | MQTT | readings/s |\n| ---: | --- | ---: |")
    for protocol in PROTOCOLS:
        for window in WINDOWS:
            rates = []
            for _ in range(options.rounds):
                with tempfile.TemporaryDirectory(prefix="millhand-in-flight-") as folder:
                    rates.append(measure(Path(folder), window, protocol, options.readings))
            middle = sorted(rates)[len(rates) // 2]
            cell = f"{middle:,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
            print(f"| {window} | {protocol} | {cell} |", flush=True)
    print(f"\nMachine: {machine_line()}.")


if __name__ == "__main__":
    main()
