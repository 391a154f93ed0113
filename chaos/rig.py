"""The site that faults disturb: a broker with the shipped profile, a proxy, an agent, a plant."""

import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos.ledger import Verdict, compare
from chaos.plant import Plant
from chaos.scada import Scada
from chaos.traffic import STREAMS, Key, bundle, expected, pipelines
from chaos.wire import Wire
from tests.kit.broker.brokers import Mosquitto, shipped
from tests.kit.broker.proxy import Proxy
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway
from tests.kit.waiting import eventually

GATEWAY = "gateway-1"
LOGINS = {GATEWAY: "gw-secret", "plant": "plant-secret", "scada": "scada-secret"}
ACL = """
user plant
topic write plant/#
user scada
topic read plant/#
topic read millhand/#
topic write millhand/+/desired/#
"""
KEEPALIVE_S = 5
RECOVER_S = 30.0

_QUIET_S = 8.0
_SETTLE_S = 90.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What is special about a site.

    Attributes:
        plant: makes the plant, given the port of the broker, and user and password.
        broker: keys of the section [broker] of agent.toml.
        disorder_ms: allowed lateness of the stream with windows.
        is_disordered: whether the plant's readings of an asset may come out of order, so that
            predictions are judged by the order in which the broker delivered their readings.
        prepare: changes the gateway before its agent is started for the first time.
    """

    plant: Callable[[int, tuple[str, str]], Plant] = Plant
    broker: Mapping[str, object] = field(default_factory=dict)
    disorder_ms: int = 0
    is_disordered: bool = False
    prepare: Callable[[Gateway], None] = lambda _gateway: None


STEADY = Setup()


class Rig:
    """One site under load.

    Attributes:
        broker: Mosquitto with the shipped profile.
        proxy: proxy between the broker and the agent.
        gateway: the agent; a fault that ends it has to start it again.
        plant: publishes readings at a steady rate.
        scada: receives the predictions.
        wire: what the broker and the agent have sent to each other.
    """

    def __init__(
        self,
        broker: Mosquitto,
        stack: ExitStack,
        make: Callable[[int], Gateway],
        setup: Setup = STEADY,
    ) -> None:
        self.broker = broker
        self._setup = setup
        self.plant = setup.plant(broker.port, ("plant", LOGINS["plant"]))
        self.wire = Wire(self.plant.sent)
        self.proxy = stack.enter_context(Proxy(broker.port, self.wire.read))
        self.scada = stack.enter_context(Scada(broker.port, ("scada", LOGINS["scada"])))
        self.gateway = stack.enter_context(make(self.proxy.port))
        self.gateway.start_serving()
        self.plant.start()
        self.recovered(time.monotonic(), 0)

    def recovered(self, since_s: float, mark_ms: int) -> dict[str, float]:
        """Wait for a prediction of something newer than `mark_ms`, of each stream.

        Returns:
            Seconds from `since_s` until the prediction of each stream came.
        """
        first = len(self.scada.answers)
        took: dict[str, float] = {}

        def all_came() -> bool:
            nonlocal first
            answers = self.scada.answers[first:]
            for answer in answers:
                if answer.key.time_ms > mark_ms:
                    took.setdefault(answer.key.stream, answer.at_s - since_s)
            first += len(answers)
            return len(took) == len(STREAMS)

        eventually(all_came, RECOVER_S, f"every stream to answer again; {[*took]} did")
        return took

    def finish(self) -> dict[str, Verdict]:
        """Stop the plant, wait for the last predictions, and return the verdict on each stream."""
        self.plant.finish()
        disorder_ms = self._setup.disorder_ms
        self._wait_for(expected(self.plant.sent.values(), disorder_ms).keys())
        wanted = expected([*self.wire.delivered], disorder_ms)
        return {
            stream: compare(
                {key: value for key, value in wanted.items() if key.stream == stream},
                self.scada.of(stream),
                self.wire.confirmed,
                by_delivery=self._setup.is_disordered,
            )
            for stream in STREAMS
        }

    @property
    def undelivered(self) -> dict[str, int]:
        """The number of readings of each stream that the broker has confirmed and then lost."""
        gone = [
            one.key.stream for one in self.plant.sent.values() if one not in self.wire.delivered
        ]
        return {stream: gone.count(stream) for stream in STREAMS}

    def _wait_for(self, wanted: AbstractSet[Key]) -> None:
        """Wait until all has come, or no prediction has come for a while."""
        deadline = time.monotonic() + _SETTLE_S
        seen: set[Key] = set()
        first, newest_s = 0, time.monotonic()

        def settled() -> bool:
            nonlocal first, newest_s
            answers = self.scada.answers[first:]
            first += len(answers)
            seen.update(answer.key for answer in answers)
            now = time.monotonic()
            newest_s = now if answers else newest_s
            # The last readings complete no window, and arrive all the same.
            is_whole = wanted <= seen and len(self.wire.delivered) == len(self.plant.sent)
            return is_whole or now - newest_s > _QUIET_S or now > deadline

        eventually(settled, _SETTLE_S + _QUIET_S)


@contextmanager
def rig(
    folder: Path,
    published: Published | None = None,
    setup: Setup = STEADY,
    **options: object,
) -> Iterator[Rig]:
    """Run a site until the context is left.

    Args:
        folder: folder for all files.
        published: registry of the agent; None: it has none.
        setup: what is special about the site.
        **options: options of the broker, in place of those of the shipped profile.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(shipped(folder / "broker", LOGINS, ACL, **options))
        yield Rig(broker, stack, lambda port: _gateway(folder, port, published, setup), setup)


def _gateway(folder: Path, port: int, published: Published | None, setup: Setup) -> Gateway:
    secret = folder / "password"
    secret.write_text(LOGINS[GATEWAY])
    secret.chmod(0o600)
    login = {"username": GATEWAY, "password_file": str(secret)}
    gateway = Gateway(
        folder / "gateway",
        port,
        pipelines(setup.disorder_ms),
        id=GATEWAY,
        registry=published.url if published else "",
        root=published.keys.root if published else None,
        sections={
            "broker": {
                "keepalive_s": KEEPALIVE_S,
                "reconnect_max_s": 0.2,
                # The proxy accepts and closes while the broker is away, after which "auto" would
                # try 3.1.1, and the wire reads no other version than 5.
                "protocol": "5",
                **login,
                **setup.broker,
            },
            "limits": {"metrics_s": 0.5},
            "updates": {"allow_downgrade": True},
        },
    )
    for stream in STREAMS:
        gateway.keep(bundle(stream))
    setup.prepare(gateway)
    return gateway
