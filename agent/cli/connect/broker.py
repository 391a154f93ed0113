"""Asks the broker everything, without disturbing an agent that may be running.

A broker may give each login one session, whatever the client calls itself (Mosquitto's
use_username_as_clientid, which config/mosquitto.conf sets): whoever connects with that login ends
the connection of the agent. So where an agent runs on this machine and logs in, only the address is
tried, unless the caller permits to interrupt it. Where the session that is found is the agent's, it
is left as it was.
"""

from collections.abc import Iterator

from agent.cli.connect.inputs import listen, tell_agent, tell_inputs
from agent.cli.connect.node import ask_node
from agent.cli.connect.outputs import ask_outputs
from agent.cli.connect.probe import NotAcceptedError, Probe
from agent.cli.connect.queue import ONE_SESSION, ask_queue
from agent.cli.connect.reach import mismatch, try_handshake
from agent.config.settings import Settings
from agent.mqtt.connection import UNSUPPORTED_PROTOCOL, Connection
from agent.mqtt.reconnect import VERSION_NAMES
from serving.mqtt.errors import BrokerError
from serving.mqtt.packets import MQTT_3_1_1, MQTT_5
from serving.preflight.answer import Answer
from serving.program import state_lock

VERSIONS = {"auto": (MQTT_5, MQTT_3_1_1), "5": (MQTT_5,), "3.1.1": (MQTT_3_1_1,)}
LOGIN_REFUSED = (4, 5, 0x86, 0x87, 0x8C)
"""CONNACK: bad user name or password, not authorised, bad method (3.1.1, 3.2.2.3; 5, 3.2.2.2)."""
_ID_REFUSED = (2, 0x85)


def ask_broker(settings: Settings, *, may_interrupt: bool = False) -> Iterator[Answer]:
    """Connect as the agent would, try its topics, and see what is kept while it is away.

    Args:
        settings: the configuration.
        may_interrupt: whether the connection of an agent that runs here may be interrupted.
    """
    broker = settings.broker
    where = f"broker {broker.host}:{broker.port}"
    process = state_lock.holder(settings.gateway.state_dir)
    logs_in = bool(broker.username or broker.cert_file)
    if process is not None and logs_in and not may_interrupt:
        yield from _ask_address(settings, where, process)
        return
    failures: list[Answer] = []
    for version in VERSIONS[broker.protocol]:
        probe = Probe(settings, version, may_interrupt=may_interrupt)
        try:
            connection = probe.connect()
        except NotAcceptedError as exc:
            failures = [Answer("FAIL", f"{where}: {in_words(settings, exc)}")]
            if exc.refused_with in (None, 1, UNSUPPORTED_PROTOCOL):
                continue
            break
        name = VERSION_NAMES[version]
        most = connection.max_in_flight
        yield Answer("ok", f"{where}: MQTT {name}, takes {most} unconfirmed publishes")
        yield from _ask(probe, connection, process)
        return
    yield from failures


def _ask(probe: Probe, connection: Connection, process: int | None) -> Iterator[Answer]:
    """Ask all there is to ask, on a connection that was just made."""
    if connection.session_present:
        connection.close()
        yield Answer(
            "warn",
            f"{ONE_SESSION}, and that of the agent is there: topics, publishing and queue were not "
            "tried. They can be before the agent's first start; what the broker refuses to a "
            "running agent is shown by systemctl status millhand-agent",
        )
        return
    heard = listen(probe, connection)
    lost = connection.lost
    connection.close(forget_session=True)
    if lost:
        yield Answer(
            "FAIL",
            f"{lost}: another client has taken over, so an agent runs with this login, "
            f"and {ONE_SESSION}: nothing more was tried; stop that agent first",
        )
        return
    yield from tell_agent(probe, heard, process)
    yield from tell_inputs(probe, heard)
    is_unseen = yield from ask_outputs(probe, heard)
    is_running = process is not None or heard.is_online
    yield from ask_node(probe, is_running=is_running, tries_publishing=is_unseen)
    try:
        yield from ask_queue(probe)
        if not probe.has_reason_codes:
            probe.forget("check", "queue", "trial")
    except BrokerError as exc:
        yield Answer("warn", f"not everything was tried: {exc}")


def _ask_address(settings: Settings, where: str, process: int) -> Iterator[Answer]:
    """Try as much as no session notices."""
    failure = try_handshake(settings.broker)
    if failure:
        yield Answer("FAIL", f"{where}: {failure}")
    else:
        secured = "by TLS, with a certificate that is trusted" if settings.broker.uses_tls else ""
        yield Answer("ok", f"{where} is reached {secured}".rstrip())
    yield Answer(
        "warn",
        f"an agent runs here as process {process}, and a second connection with its login may end "
        "its own: login, topics, publishing and queue were not tried. What the broker refuses to "
        "it is shown by systemctl status millhand-agent. With --interrupt they are tried: its "
        "connection may then be lost for about a second, but no message",
    )


def in_words(settings: Settings, error: NotAcceptedError) -> str:
    """Why the broker does not accept the connection, and what to change."""
    broker = settings.broker
    if error.refused_with is None:
        return mismatch(broker) or str(error)
    if error.refused_with in _ID_REFUSED:
        return (
            f"{error}: the broker does not permit the client id of this check, {settings.client_id}"
            "-check-...; it may permit that of the agent"
        )
    if error.refused_with not in LOGIN_REFUSED:
        return str(error)
    if broker.username:
        return (
            f"{error}: the user name or the password is wrong (broker.username, broker."
            f"password_file), or the broker permits this login only the client id "
            f"{settings.client_id}"
        )
    if broker.cert_file:
        return f"{error}: the broker knows nobody by the name in broker.cert_file"
    return f"{error}: the broker demands a login: set broker.username and broker.password_file"
