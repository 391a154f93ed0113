"""Listens to topics of a broker for a while, and shows how far it is."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from types import FrameType
from typing import Final

from agent.cli.connect.broker import LOGIN_REFUSED, VERSIONS, in_words
from agent.cli.connect.probe import NotAcceptedError, Probe
from agent.cli.connect.queue import ONE_SESSION
from agent.config.settings import Settings
from agent.learn.seen.wire import Wire
from agent.mqtt.connection import UNSUPPORTED_PROTOCOL, Connection
from agent.mqtt.subscription import Subscription
from models.printable import printable
from serving.errors import ConfigError
from serving.mqtt.errors import BrokerError
from serving.program import state_lock

_ROLE: Final = "learn"
_KEPT_S: Final = 60  # of the session, should this process be killed
_SHOWN_EACH_S: Final = 0.5
_TICK_S: Final = 1.0


@dataclass(slots=True)
class Listener:
    """Listens to a broker, under a client id of its own and at QoS 0, so that nothing is held up.

    Attributes:
        settings: how the broker is reached; without pipelines.
        filters: topic filters to listen to.
        seconds: how long to listen.
        wire: takes the messages in.
        refused: topic filters that the broker has refused.
        ended: why the listening has ended, in words.
        lasted_s: seconds that it has lasted.
    """

    settings: Settings
    filters: Sequence[str]
    seconds: float
    wire: Wire
    refused: list[str] = field(default_factory=list)
    ended: str = ""
    lasted_s: float = 0.0
    _is_stopped: bool = False

    def listen(self, *, may_interrupt: bool) -> None:
        """Listen until the time is over, a limit is reached, the user stops, or the broker does.

        Raises:
            BrokerError: the broker cannot be reached.
            ConfigError: the login or every filter is refused, or an agent would be interrupted.
        """
        if not may_interrupt:
            self._check_undisturbed()
        probe, connection = self._connect()
        try:
            self._check_no_session(connection)
            asked = [Subscription(one, 0, state=True) for one in self.filters]
            self.refused = probe.subscribe(connection, asked)
            self._check_granted()
            with self._stopping(), progress_line() as show:
                named = ", ".join(self.filters)
                note(f"listening to {named} for {self.seconds:g} s; Ctrl-C ends it early")
                self._take_all(probe, connection, show)
        finally:
            self._leave(probe, connection)

    def _take_all(self, probe: Probe, connection: Connection, show: "Progress") -> None:
        began_s = ticked_s = monotonic()
        while not self.ended:
            probe.turn(connection)
            arrived, connection.received = connection.received, []
            for message in arrived:
                self.wire.take(message)
            now_s = monotonic()
            self.lasted_s = now_s - began_s
            if now_s - ticked_s >= _TICK_S:
                ticked_s = now_s
                connection.tick()
            show(self)
            self.ended = self._reason(connection)

    def _reason(self, connection: Connection) -> str:
        if connection.lost:
            return connection.lost
        if self._is_stopped:
            return "stopped by the user"
        if self.lasted_s >= self.seconds:
            return "the time is over"
        return self.wire.limit

    def _connect(self) -> tuple[Probe, Connection]:
        broker = self.settings.broker
        where = f"broker {broker.host}:{broker.port}"
        failure: BrokerError | ConfigError | None = None
        for version in VERSIONS[broker.protocol]:
            probe = Probe(self.settings, version)
            try:
                return probe, probe.connect(_ROLE, expiry_s=_KEPT_S)
            except NotAcceptedError as exc:
                is_login = exc.refused_with in LOGIN_REFUSED
                kind = ConfigError if is_login else BrokerError
                failure = kind(f"{where}: {in_words(self.settings, exc)}")
                if exc.refused_with not in (None, 1, UNSUPPORTED_PROTOCOL):
                    break
        assert failure is not None  # noqa: S101  there is one version at least
        raise failure

    def _leave(self, probe: Probe, connection: Connection) -> None:
        connection.close(forget_session=not connection.session_present)
        if not (connection.lost or connection.session_present or probe.has_reason_codes):
            probe.forget(_ROLE)  # 3.1.1 keeps the session otherwise

    def _check_undisturbed(self) -> None:
        broker = self.settings.broker
        process = state_lock.holder(self.settings.gateway.state_dir)
        if process is not None and (broker.username or broker.cert_file):
            raise ConfigError(
                f"an agent runs here as process {process}, and a second connection with its login "
                "may end its own: give learn a login of its own (--broker, --username), or let it "
                "interrupt the agent for about a second with --interrupt; no message is lost"
            )

    @staticmethod
    def _check_no_session(connection: Connection) -> None:
        if connection.session_present:
            raise ConfigError(
                f"{ONE_SESSION}, and that of the agent is there: give learn a login of its own "
                "(--broker, --username)"
            )

    def _check_granted(self) -> None:
        if len(self.refused) == len(self.filters):
            named = ", ".join(self.refused)
            raise ConfigError(
                f"subscribe {named}: the broker refuses it: permit this login to read it, or name "
                "topic filters that it may read"
            )

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Have SIGINT and SIGTERM end the listening, and nothing else."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopped = True


class Progress:
    """The progress on standard error, one line that is written anew; only on a terminal."""

    def __init__(self) -> None:
        self._shown_s = -_SHOWN_EACH_S
        self._is_seen = sys.stderr.isatty()

    def __call__(self, listener: Listener) -> None:
        """Show how far it is, at most twice a second."""
        now_s = monotonic()
        if self._is_seen and now_s - self._shown_s >= _SHOWN_EACH_S:
            self._shown_s = now_s
            sys.stderr.write(f"\r\x1b[K{printable(told(listener))}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Clear the line."""
        if self._is_seen:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@contextmanager
def progress_line() -> Iterator[Progress]:
    """A progress line that is cleared in the end."""
    progress = Progress()
    try:
        yield progress
    finally:
        progress.clear()


def told(listener: Listener) -> str:
    """How far it is, in words."""
    wire = listener.wire
    return (
        f"listening {listener.lasted_s:.0f} of {listener.seconds:.0f} s: {wire.messages} messages "
        f"on {len(wire.topics)} topics, {wire.size_bytes / 1e6:.1f} MB"
    )


def note(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()
