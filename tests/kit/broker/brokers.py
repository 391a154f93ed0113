"""Real brokers for tests: private, on the loopback, at a port that stays theirs over a restart.

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
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.kit.broker.certificates import Certificates
from tests.kit.waiting import eventually

HOST = "127.0.0.1"
LISTENER_OPTIONS = ("use_username_as_clientid",)
ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config"
_SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_START_S = 20.0
_STOP_S = 10.0
_FIRST_PORT, _END_OF_PORTS, _BLOCK = 20_000, 32_000, 100
_PORTS: list[int] = []
"""Of this process, the one to try next first."""
_NAMES: list[socket.socket] = []
"""Held open: each keeps a block of ports from other processes."""


class Broker:
    """A broker as a child process.

    Attributes:
        host: always the loopback.
        port: the same over all restarts.
        folder: of its configuration, its state and its log.
    """

    host = HOST

    def __init__(self, folder: Path, command: Sequence[str], port: int) -> None:
        self.port = port
        self.folder = folder
        self._command = command
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running.pid

    @property
    def log(self) -> str:
        """All that it has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it and wait until its port answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)
        eventually(self._answers, _START_S, f"the broker to listen on port {self.port}")

    def stop(self) -> None:
        """End it in order; a durable one saves its state first."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._running.kill()
        self._running.wait(_STOP_S)

    def restart(self) -> None:
        """Start it again at the same port, after a stop if it runs."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Have Mosquitto read its ACL and password files again."""
        self._running.send_signal(signal.SIGHUP)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hang, connections open, until the context is left."""
        self._running.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running.send_signal(signal.SIGCONT)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the broker was not started"
        return self._process

    def _answers(self) -> bool:
        code = self._running.poll()
        assert code is None, f"the broker ended with {code}:\n{self.log}"
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0):
                return True
        except OSError:
            return False


class Mosquitto(Broker):
    """The reference broker: MQTT 5 and 3.1.1."""

    @property
    def acl(self) -> str:
        """What the ACL file says now."""
        return (self.folder / "acl").read_text()

    def write_acl(self, text: str) -> None:
        """Replace the ACL file; `reload` or `restart` makes it count."""
        (self.folder / "acl").write_text(text)


@contextmanager
def mosquitto(
    folder: Path,
    *,
    acl: str = "",
    logins: Mapping[str, str] | None = None,
    tls: Certificates | None = None,
    durable: bool = False,
    **options: object,
) -> Iterator[Mosquitto]:
    """Run a Mosquitto of the test's own until the context is left.

    Args:
        folder: for its files; made if it is not there.
        acl: content of the ACL file, if it shall have one.
        logins: password by user; without any, nobody needs one.
        tls: its certificate, if it shall speak TLS.
        durable: save every change at once, as the shipped profile does.
        **options: further lines of mosquitto.conf; True and False become true and false.
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
    config.write_text("".join(f"{name} {_word(value)}\n" for name, value in lines.items()))
    broker = Mosquitto(folder, [program("mosquitto"), "-c", str(config)], port)
    with _running(broker):
        yield broker


@contextmanager
def shipped(
    folder: Path, logins: Mapping[str, str], acl: str = "", **options: object
) -> Iterator[Mosquitto]:
    """Run a Mosquitto on the profile that is shipped, at a port and in a folder of its own.

    Args:
        folder: for its files; made if it is not there.
        logins: password by user.
        acl: what further users may do, behind config/mosquitto.acl.
        **options: lines of the profile that have another value here.
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
        assert count == 1, f"{name} stands {count} times in the profile"
    # Debian's own mosquitto.conf says where the state lies; root would give its rights up.
    profile = f"persistence_location {folder}/\n{profile}"
    config = folder / "mosquitto.conf"
    config.write_text(f"user root\n{profile}" if os.geteuid() == 0 else profile)
    broker = Mosquitto(folder, [program("mosquitto"), "-c", str(config)], port)
    with _running(broker):
        yield broker


@contextmanager
def amqtt(folder: Path) -> Iterator[Broker]:
    """Run the demo's embedded broker, which speaks 3.1.1 only, until the context is left."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    broker = Broker(folder, [sys.executable, "-m", "demo.embedded", str(port)], port)
    with _running(broker):
        yield broker


def free_port() -> int:
    """A port that nobody listens on at the loopback, and that no other test process will take.

    The system gives connections their own ports from 32768 on, so one from there could be gone
    before a broker listens on it, or while the broker is down. Ports of a block below are safe:
    each process holds one block by a name in the abstract namespace until it ends.
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
    raise AssertionError(f"none of the ports {min(_PORTS)} to {max(_PORTS)} is free")


def _reserved() -> range:
    """A block of ports that no other process of ours has."""
    for first in range(_FIRST_PORT, _END_OF_PORTS, _BLOCK):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0millhand-ports-{first}")
        except OSError:
            name.close()
            continue
        _NAMES.append(name)
        return range(first, first + _BLOCK)
    raise AssertionError("other processes hold all blocks of ports")


def program(name: str) -> str:
    """The path of a program; Debian installs brokers where a user's PATH does not look."""
    path = shutil.which(name, path=_SYSTEM_PATH)
    assert path is not None, f"{name} is missing; on Debian: apt install mosquitto"
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


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
