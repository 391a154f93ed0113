"""A PostgreSQL server of Debian's package, in a temporary folder, on a free loopback port.

The server refuses to run as root, so that root starts it as the user `postgres` of the package.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.kit.broker.brokers import free_port
from tests.kit.children import Child
from tests.kit.errors import KitError

PASSWORD = "p@ss/word:1"  # noqa: S105  of a server that lives as long as one test
_USER = "plant"
_INSTALLED = Path("/usr/lib/postgresql")


class Server:
    """A server that runs.

    Attributes:
        port: its port on 127.0.0.1.
        child: its process.
    """

    def __init__(self, port: int, child: Child) -> None:
        self.port = port
        self.child = child

    def url(self, password: str = PASSWORD) -> str:
        """The URL of its database."""
        return f"postgresql://{_USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/postgres"


@contextmanager
def postgresql() -> Iterator[Server]:
    """Start a server, and remove it with its files in the end."""
    with tempfile.TemporaryDirectory(prefix="millhand-postgresql-") as name:
        folder = Path(name)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, secret):
                shutil.chown(path, "postgres", "postgres")
        cluster = folder / "cluster"
        made = [_program("initdb"), "-D", str(cluster), "-U", _USER, "-A", "scram-sha-256"]
        made += ["--pwfile", str(secret), "--no-sync", "--no-locale", "-E", "UTF8"]
        subprocess.run([*_as_owner(), *made], check=True, capture_output=True, cwd=folder)
        port = free_port()
        settings = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
        command = [*_as_owner(), _program("postgres"), "-D", str(cluster), *settings]
        with Child("postgresql", command, folder / "log", folder=folder) as child:
            child.wait_until(lambda: _is_ready(port), timeout_s=60.0)
            yield Server(port, child)


def _is_ready(port: int) -> bool:
    ready = [_program("pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(ready, check=False, capture_output=True).returncode == 0


def _as_owner() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _program(name: str) -> str:
    """The path of a program of the server, which Debian keeps off the path."""
    found = sorted(_INSTALLED.glob(f"*/bin/{name}"))
    program = shutil.which(name) or (str(found[-1]) if found else None)
    if program is None:
        raise KitError(f"{name} is missing: install Debian's package postgresql")
    return program
