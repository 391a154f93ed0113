"""Real brokers: private, on the loopback, at a port that stays theirs over a restart.

with mosquitto(tmp_path / "broker") as broker:                    anonymous, nothing on disk
with mosquitto(tmp_path / "broker", durable=True) as broker:      survives broker.kill()
with mosquitto(tmp_path / "broker", acl=ACL, logins={"gw1": "secret"}) as broker:
with mosquitto(tmp_path / "broker", tls=make_certificates(tmp_path)) as broker:
with mosquitto(tmp_path / "broker", max_packet_size=1000) as broker:    any option by its name
with shipped(tmp_path / "broker", {"gateway-1": "secret"}) as broker:   as config/mosquitto.conf
with amqtt(tmp_path / "broker") as broker:                        speaks MQTT 3.1.1 only
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kit.children import ROOT, Child, python
from tests.kit.errors import KitError

if TYPE_CHECKING:
    # Not at run time: a benchmark must share no pages of cryptography with what it measures.
    from tests.kit.broker.certificates import Certificates

HOST = "127.0.0.1"
LISTENER_OPTIONS = ("use_username_as_clientid", "require_certificate", "use_identity_as_username")
CONFIG = ROOT / "config"
_SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_START_S = 20.0
_STOP_S = 10.0
_FIRST_PORT, _END_OF_PORTS, _BLOCK = 20_000, 32_000, 100
_PORTS: list[int] = []
"""The ports of this process; the first is the next to be tried."""
_NAMES: list[socket.socket] = []
"""Sockets that are kept open: the name of each reserves a block of ports for this process."""


class Broker:
    """A broker as a child process.

    Attributes:
        host: address that the broker listens on, always the loopback.
        port: port that it listens on, the same over all restarts.
        folder: folder of its configuration, its state and its log.
        name: name of the program: mosquitto or amqtt.
        child: the process.
    """

    host = HOST

    def __init__(self, name: str, folder: Path, command: Sequence[str], port: int) -> None:
        self.name = name
        self.port = port
        self.folder = folder
        self._log = folder / "broker.log"
        self.child = Child(name, command, self._log)

    @property
    def log(self) -> str:
        """Everything that the broker has logged so far, over all restarts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start the broker and wait until its port accepts connections.

        Raises:
            KitError: the broker ended, or does not listen in time.
        """
        self.child.start()
        self.child.wait_until(self._listens, _START_S)

    def stop(self) -> None:
        """End the broker by SIGTERM; a durable one saves its state first."""
        self.child.stop(_STOP_S)

    def kill(self) -> None:
        """End the broker as a power cut would."""
        self.child.kill()

    def restart(self) -> None:
        """Stop the broker if it runs, and start it again at the same port."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Let Mosquitto read its ACL and password files again."""
        self.child.process.send_signal(signal.SIGHUP)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process with its connections open until the context is left."""
        self.child.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.child.process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0):
                return True
        except OSError:
            return False


class Mosquitto(Broker):
    """The reference broker: MQTT 5 and 3.1.1."""

    @property
    def acl(self) -> str:
        """The content of the ACL file."""
        return (self.folder / "acl").read_text()

    def write_acl(self, text: str) -> None:
        """Replace the ACL file; it takes effect with `reload` or `restart`."""
        (self.folder / "acl").write_text(text)


@contextmanager
def mosquitto(
    folder: Path,
    *,
    acl: str = "",
    logins: Mapping[str, str] | None = None,
    tls: "Certificates | None" = None,
    durable: bool = False,
    **options: object,
) -> Iterator[Mosquitto]:
    """Run a private Mosquitto until the context is left.

    Args:
        folder: folder for its files; it is made if it is not there.
        acl: content of the ACL file; empty: everybody may do everything.
        logins: password of each user; without any user, clients connect without a name.
        tls: certificate of the broker; None: it speaks plain TCP.
        durable: whether it saves every change at once, as the shipped profile does.
        **options: further lines of mosquitto.conf by option; a tuple gives one line for each value.

    Raises:
        KitError: Mosquitto is missing, or did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    lines: dict[str, object] = {
        "allow_anonymous": not logins,
        "persistence": durable,
        "persistence_location": f"{folder}/",
        "set_tcp_nodelay": True,
    }
    if durable:
        lines |= {"autosave_on_changes": True, "autosave_interval": 1}
    if acl:
        (folder / "acl").write_text(acl)
        lines["acl_file"] = folder / "acl"
    if logins:
        lines["password_file"] = _write_logins(folder / "passwords", logins)
    if os.geteuid() == 0:
        lines["user"] = "root"  # it would give its rights up, and could not read the folder then
    # Options of the listener must stand below it.
    below = {name: options.pop(name) for name in LISTENER_OPTIONS if name in options}
    lines |= options | {"listener": f"{port} {HOST}"} | below
    if tls is not None:
        lines |= {"cafile": tls.ca_file, "certfile": tls.cert_file, "keyfile": tls.key_file}
    config = folder / "mosquitto.conf"
    config.write_text("".join(_lines(name, value) for name, value in lines.items()))
    broker = Mosquitto("mosquitto", folder, [program("mosquitto"), "-c", str(config)], port)
    with _running(broker):
        yield broker


@contextmanager
def shipped(
    folder: Path, logins: Mapping[str, str], acl: str = "", **options: object
) -> Iterator[Mosquitto]:
    """Run a Mosquitto with the shipped config/mosquitto.conf, at a port and in a folder of its own.

    Args:
        folder: folder for its files; it is made if it is not there.
        logins: password of each user.
        acl: rights of further users, appended to config/mosquitto.acl.
        **options: options of the profile that get another value here.

    Raises:
        KitError: Mosquitto is missing or did not start, or an option is not in the profile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "acl").write_text((CONFIG / "mosquitto.acl").read_text() + acl)
    _write_logins(folder / "passwords", logins)
    profile = (CONFIG / "mosquitto.conf").read_text()
    options = options | {
        "acl_file": folder / "acl",
        "password_file": folder / "passwords",
        "listener": f"{port} {HOST}",
    }
    for name, value in options.items():
        profile, count = re.subn(rf"(?m)^{name} .*$", f"{name} {_word(value)}", profile)
        if count != 1:
            raise KitError(f"{name} is {count} times in the profile")
    # Debian's own mosquitto.conf says where the state lies; root would give its rights up.
    profile = f"persistence_location {folder}/\n{profile}"
    config = folder / "mosquitto.conf"
    config.write_text(f"user root\n{profile}" if os.geteuid() == 0 else profile)
    broker = Mosquitto("mosquitto", folder, [program("mosquitto"), "-c", str(config)], port)
    with _running(broker):
        yield broker


@contextmanager
def amqtt(folder: Path) -> Iterator[Broker]:
    """Run amqtt, a broker in Python that speaks MQTT 3.1.1 only, until the context is left.

    Raises:
        KitError: it did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    broker = Broker("amqtt", folder, python("tests.kit.broker.embedded", str(port)), port)
    with _running(broker):
        yield broker


def free_port() -> int:
    """A port on the loopback that no other process uses, or gets from this function later.

    The system gives outgoing connections ports from 32768 on: such a port could be taken before a
    broker listens on it, or while the broker is down. So ports below are used, and each process
    reserves a block of them by a name in the abstract socket namespace (unix(7)) until it ends.
    """
    if not _PORTS:
        _PORTS.extend(_reserved())
    for _ in range(_BLOCK):
        _PORTS.append(_PORTS.pop(0))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, _PORTS[-1]))
                return _PORTS[-1]
    raise KitError(f"none of the ports {min(_PORTS)} to {max(_PORTS)} is free")


def _reserved() -> range:
    """A block of ports that no other process has reserved."""
    for first in range(_FIRST_PORT, _END_OF_PORTS, _BLOCK):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0millhand-ports-{first}")
        except OSError:
            name.close()
            continue
        _NAMES.append(name)
        return range(first, first + _BLOCK)
    raise KitError("other processes have reserved all blocks of ports")


def installed(name: str) -> str | None:
    """The path of a program, None if it is missing; Debian has brokers outside of users' PATH."""
    return shutil.which(name, path=_SYSTEM_PATH)


def program(name: str) -> str:
    """The path of a program of Mosquitto.

    Raises:
        KitError: it is missing.
    """
    path = installed(name)
    if path is None:
        raise KitError(f"{name} is missing; on Debian: apt install mosquitto")
    return path


@contextmanager
def _running(broker: Broker) -> Iterator[None]:
    try:
        broker.start()
        yield
    finally:
        broker.stop()


def _write_logins(path: Path, logins: Mapping[str, str]) -> Path:
    path.touch(mode=0o600)
    for user, password in logins.items():
        subprocess.run(
            [program("mosquitto_passwd"), "-b", str(path), user, password],
            check=True,
            capture_output=True,
        )
    return path


def _lines(name: str, value: object) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return "".join(f"{name} {_word(one)}\n" for one in values)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
