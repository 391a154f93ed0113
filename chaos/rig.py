"""All that a fault can hit: a broker on the shipped profile, a proxy, an agent, its plant."""

import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chaos.ledger import Verdict, judge
from chaos.plant import Plant
from chaos.scada import Scada
from chaos.traffic import STREAMS, Key, bundle, expected, pipelines
from chaos.wire import Wire
from tests.kit.broker.brokers import Mosquitto, shipped
from tests.kit.broker.proxy import Proxy
from tests.kit.bundles.published import Published
from tests.kit.gateway.process import Gateway
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


class Rig:
    """One site under load; `strike` what you will, it counts what comes of it.

    Attributes:
        broker: runs the shipped profile.
        proxy: stands between it and the agent.
        gateway: the agent; whoever ends it starts it again.
        plant: the steady flow.
        scada: hears the predictions.
        wire: what broker and agent have said to each other.
    """

    def __init__(self, broker: Mosquitto, stack: ExitStack, make: Callable[[int], Gateway]) -> None:
        self.broker = broker
        self.plant = Plant(broker.port, ("plant", LOGINS["plant"]))
        self.wire = Wire(self.plant.sent)
        self.proxy = stack.enter_context(Proxy(broker.port, self.wire.hear))
        self.scada = stack.enter_context(Scada(broker.port, ("scada", LOGINS["scada"])))
        self.gateway = stack.enter_context(make(self.proxy.port))
        self.gateway.start_serving()
        self.plant.start()
        self.recovered(time.monotonic(), 0)

    def recovered(self, since_s: float, mark_ms: int) -> dict[str, float]:
        """Wait for a prediction of something newer than `mark_ms`, of each stream.

        Returns:
            How long after `since_s` each came, seconds.
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
        """End the flow, wait until nothing comes any more, and say what became of each stream."""
        self.plant.finish()
        self._wait_for(expected(self.plant.sent.values()).keys())
        wanted = expected(self.wire.delivered)
        return {
            stream: judge(
                {key: value for key, value in wanted.items() if key.stream == stream},
                self.scada.of(stream),
                self.wire.confirmed,
            )
            for stream in STREAMS
        }

    @property
    def undelivered(self) -> dict[str, int]:
        """Readings that never reached the agent: the broker has confirmed and lost them."""
        gone = [
            one.key.stream for one in self.plant.sent.values() if one not in self.wire.delivered
        ]
        return {stream: gone.count(stream) for stream in STREAMS}

    def _wait_for(self, wanted: AbstractSet[Key]) -> None:
        """Until everything has come, or nothing has for a while."""
        deadline = time.monotonic() + _SETTLE_S
        seen: set[Key] = set()
        first, heard_s = 0, time.monotonic()

        def settled() -> bool:
            nonlocal first, heard_s
            answers = self.scada.answers[first:]
            first += len(answers)
            seen.update(answer.key for answer in answers)
            now = time.monotonic()
            heard_s = now if answers else heard_s
            return wanted <= seen or now - heard_s > _QUIET_S or now > deadline

        eventually(settled, _SETTLE_S + _QUIET_S)


@contextmanager
def rig(folder: Path, published: Published | None = None, **options: object) -> Iterator[Rig]:
    """Run a site until the context is left.

    Args:
        folder: for everything that lies on disk.
        published: the registry that the agent looks into, if it shall have one.
        **options: of the broker, in place of the profile's.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(shipped(folder / "broker", LOGINS, ACL, **options))
        yield Rig(broker, stack, lambda port: _gateway(folder, port, published))


def _gateway(folder: Path, port: int, published: Published | None) -> Gateway:
    secret = folder / "password"
    secret.write_text(LOGINS[GATEWAY])
    secret.chmod(0o600)
    login = {"username": GATEWAY, "password_file": str(secret)}
    gateway = Gateway(
        folder / "gateway",
        port,
        pipelines(),
        id=GATEWAY,
        registry=published.url if published else "",
        root=published.keys.root if published else None,
        sections={
            "broker": {"keepalive_s": KEEPALIVE_S, "reconnect_max_s": 0.2, **login},
            "limits": {"metrics_s": 0.5},
        },
    )
    for stream in STREAMS:
        gateway.keep(bundle(stream))
    return gateway
