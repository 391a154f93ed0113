"""The agent as a process of its own, as systemd would run it."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tomli_w

from models.bundle.package import Bundle
from serving.store import Store
from tests.kit.broker.brokers import HOST
from tests.kit.children import Child, python
from tests.kit.errors import KitError

START_S = 20.0
STOP_S = 20.0


def telemetry_pipeline(stream: str, **more: object) -> dict[str, object]:
    """A pipeline that reads `plant/{line}/{asset}/telemetry` as JSON with `ts` in milliseconds."""
    source: dict[str, object] = {
        "topic": "plant/{line}/{asset}/telemetry",
        "dialect": "json",
        "timestamp": "ts",
    }
    return {"stream": stream, "inputs": [source | more]}


@dataclass
class Gateway:
    """One gateway: its folder, its configuration, and the agent that runs on it.

    Attributes:
        folder: folder of agent.toml, of the state and of the log.
        port: port of the broker on the loopback.
        pipelines: the pipelines of agent.toml.
        registry: URL of the registry; empty names one that is not there.
        root: file of the trusted root metadata; None writes an empty one.
        id: id of the gateway.
        sections: further sections of agent.toml, merged over the defaults.
        environment: variables that are added to the agent's environment.
        under: program and arguments that the agent is started under, such as those of strace; the
            agent must stay a child of this process.
    """

    folder: Path
    port: int
    pipelines: list[dict[str, object]]
    registry: str = ""
    root: Path | None = None
    id: str = "gw1"
    sections: dict[str, dict[str, object]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    under: Sequence[str] = ()
    _child: Child | None = field(default=None, init=False, repr=False)

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The process of the agent that was started last, None before the first start."""
        return None if self._child is None else self._child.process

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "agent.toml"

    @property
    def state_dir(self) -> Path:
        """The folder of what survives a restart of the agent."""
        return self.folder / "state"

    @property
    def log(self) -> str:
        """Everything that the agent has logged so far, over all restarts."""
        path = self.folder / "agent.log"
        return path.read_text() if path.exists() else ""

    def keep(self, bundle: Bundle, *, pinned: bool = True) -> None:
        """Put a bundle on the gateway's disk as the one that served last, `pinned` by a push."""
        store = Store(self.state_dir, keep=3)
        store.bundles_dir.mkdir(parents=True, exist_ok=True)
        store.path(bundle.ref).write_bytes(bundle.content)
        store.commit(bundle.ref, bundle.ref.seq if pinned else None)

    def write_config(self) -> Path:
        """Write agent.toml."""
        self.folder.mkdir(parents=True, exist_ok=True)
        root = self.root or self.folder / "root.json"
        if self.root is None:
            root.write_text("{}")
        document: dict[str, Any] = {
            "gateway": {"id": self.id, "state_dir": str(self.state_dir)},
            "broker": {"host": HOST, "port": self.port, "reconnect_max_s": 1.0},
            "registry": {"url": self.registry or "file:///nonexistent", "root": str(root)},
            "pipelines": self.pipelines,
        }
        for name, section in self.sections.items():
            document[name] = {**document.get(name, {}), **section}
        self.config.write_bytes(tomli_w.dumps(document).encode())
        return self.config

    def start(self) -> Self:
        """Start the agent; `wait_for_log` waits until it has come so far."""
        command = [*self.under, *python("agent", "run", "--config", self.write_config())]
        log = self.folder / "agent.log"
        self._child = Child("agent", command, log, environment=self.environment)
        self._child.start()
        return self

    def start_serving(self) -> Self:
        """Start the agent, and wait until the broker has confirmed its subscriptions."""
        times = self.log.count("INFO subscribed")
        self.start()
        self.wait_for_log("INFO subscribed", times=times + 1)
        return self

    def wait_for_log(self, text: str, times: int = 1, timeout_s: float = START_S) -> None:
        """Wait until the agent has logged `text`.

        Raises:
            KitError: it did not, or has ended; the error has the whole log as a note.
        """
        try:
            self._running.wait_until(lambda: self.log.count(text) >= times, timeout_s)
        except KitError as exc:
            exc.add_note(f"waited for '{text}' in:\n{self.log}")
            raise

    def kill(self) -> None:
        """End the agent as a power cut would."""
        self._running.kill()

    def stop(self) -> int:
        """End the agent as systemd would, and return its exit code.

        Raises:
            KitError: SIGTERM did not end it in time.
        """
        child = self._running
        if not child.stop(STOP_S):
            raise KitError(f"the agent did not end within {STOP_S:g} s of SIGTERM:\n{self.log}")
        return child.process.returncode

    def __enter__(self) -> Self:
        """Return the gateway; nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the agent: in order, or at once where the context is left by an error."""
        if self.process is not None and self.process.poll() is None:
            if error is None:
                self.stop()
            else:
                self.kill()

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise KitError("the agent was not started")
        return self._child
