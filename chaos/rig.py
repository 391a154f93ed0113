"""Everything that a fault can hit: a broker on the shipped profile, a proxy, an agent, its plant."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chaos.ledger import Verdict, judge
from chaos.plant import Plant
from chaos.scada import Scada
from chaos.traffic import STREAMS, bundle, expected, pipelines
from chaos.wire import Wire
from tests.brokers import Mosquitto, shipped
from tests.gateway import Gateway
from tests.proxy import Proxy
from tests.waiting import eventually

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

    def __init__(self, folder: Path, broker: Mosquitto, stack: ExitStack) -> None:
        self.broker = broker
        self.plant = Plant(broker.port, ("plant", LOGINS["plant"]))
        self.wire = Wire(self.plant.sent)
        self.proxy = stack.enter_context(Proxy(broker.port, self.wire.hear))
        self.scada = stack.enter_context(Scada(broker.port, ("scada", LOGINS["scada"])))
        self.gateway = stack.enter_context(_gateway(folder, self.proxy.port))
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
        wanted = expected(self.plant.sent.values())
        self._wait_for(wanted.keys())
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
        gone = [one.key.stream for one in self.plant.sent.values() if one not in self.wire.delivered]
        return {stream: gone.count(stream) for stream in STREAMS}

    def _wait_for(self, wanted: object) -> None:
        """Until everything has come, or nothing has for a while."""
        assert isinstance(wanted, type({}.keys()))
        deadline = time.monotonic() + _SETTLE_S
        seen: set[object] = set()
        first, quiet_since = 0, time.monotonic()

        def settled() -> bool:
            nonlocal first, quiet_since
            answers = self.scada.answers[first:]
            if answers:
                quiet_since = time.monotonic()
            first += len(answers)
            seen.update(answer.key for answer in answers)
            now = time.monotonic()
            return wanted <= seen or now - quiet_since > _QUIET_S or now > deadline

        eventually(settled, _SETTLE_S + _QUIET_S)


@contextmanager
def rig(folder: Path, **options: object) -> Iterator[Rig]:
    """Run a site until the context is left; `options` of the broker replace the profile's."""
    with ExitStack() as stack:
        broker = stack.enter_context(shipped(folder / "broker", LOGINS, ACL, **options))
        site = Rig(folder, broker, stack)
        yield site


def _gateway(folder: Path, port: int) -> Gateway:
    secret = folder / "password"
    secret.write_text(LOGINS[GATEWAY])
    secret.chmod(0o600)
    login = {"username": GATEWAY, "password_file": str(secret)}
    gateway = Gateway(
        folder / "gateway",
        port,
        pipelines(),
        id=GATEWAY,
        sections={
            "broker": {"keepalive_s": KEEPALIVE_S, "reconnect_max_s": 0.2, **login},
            "limits": {"metrics_s": 0.5},
        },
    )
    for stream in STREAMS:
        gateway.keep(bundle(stream))
    return gateway
