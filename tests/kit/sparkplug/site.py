"""A gateway with an edge node, the plant whose readings it has, and a host that listens."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.bundle.manifest import Channel
from models.bundle.package import Bundle
from tests.kit.broker.brokers import Broker, mosquitto
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.sparkplug.host import GROUP, Host

T0_MS = 1_760_000_000_000
THRESHOLD = 50.0


def alarms(seq: int = 1) -> Bundle:
    """The bundle of `mass`: an anomaly detector, whose score is c0 + 10 c1."""
    return detector_bundle("mass", seq, [1.0, 10.0], threshold=THRESHOLD)


def hours(seq: int = 1) -> Bundle:
    """The bundle of `life`: a regression in hours, which has no answer without c0."""
    channels = [Channel(name="c0", missing="require"), Channel(name="c1")]
    return linear_bundle("life", seq, [1.0, 1.0], bias=float(seq), channels=channels)


@dataclass
class Site:
    """What a test needs.

    Attributes:
        broker: the broker between them.
        gateway: the gateway, with the streams `mass` and `life`.
        host: what the edge node has published.
        plant: publishes readings.
    """

    broker: Broker
    gateway: Gateway
    host: Host
    plant: PlantClient
    _second: int = field(default=0, init=False)

    def read(self, asset: str, c0: float | None, c1: float = 0.0) -> int:
        """Publish the next reading of an asset, a second after the last; returns its time."""
        self._second += 1
        at_ms = T0_MS + 1000 * self._second
        self.plant.publish(f"plant/l1/{asset}/telemetry", {"ts": at_ms, "c0": c0, "c1": c1})
        return at_ms


@contextmanager
def site(folder: Path, published: Published | None = None, **keys: Any) -> Iterator[Site]:  # noqa: ANN401  values of TOML
    """A site whose agent is started, until the context is left.

    Args:
        folder: empty folder for broker and gateway.
        published: the registry; None: there is none.
        keys: keys of the section `[sparkplug]`; `limits` and `broker` are sections of their own.
    """
    sections = {name: keys.pop(name, {}) for name in ("limits", "broker")}
    sections["limits"] = {"metrics_s": 0.5, **sections["limits"]}
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto(folder / "broker"))
        gateway = Gateway(
            folder / "gw",
            broker.port,
            [telemetry_pipeline("mass"), telemetry_pipeline("life")],
            registry=published.url if published else "",
            root=published.keys.root if published else None,
            sections={"sparkplug": {"group_id": GROUP, **keys}, **sections},
        )
        gateway.keep(alarms())
        gateway.keep(hours())
        host = stack.enter_context(Host(broker.port))
        plant = stack.enter_context(PlantClient(broker.port, ["millhand/gw1/metrics"]))
        stack.enter_context(gateway)
        gateway.start_serving()
        if "primary_host" not in keys:
            host.wait_for("NBIRTH")
        yield Site(broker, gateway, host, plant)
