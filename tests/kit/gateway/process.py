"""The agent as a process of its own, as systemd would run it, for tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tomli_w

from models.bundle.package import Bundle
from serving.store import Store
from tests.kit.waiting import eventually

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
        folder: holds agent.toml, the state and the log.
        port: of the broker on loopback.
        pipelines: as in agent.toml.
        registry: folder of the registry, or its URL.
        root: the trusted root metadata; a file that is not there stops the agent.
        sections: further TOML sections, merged over the defaults.
        environment: further variables of the agent's.
        under: what the agent is started under, such as strace; it must stay our own child.
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
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "agent.toml"

    @property
    def state_dir(self) -> Path:
        """What survives a restart."""
        return self.folder / "state"

    @property
    def log(self) -> str:
        """All that the agent has logged so far."""
        path = self.folder / "agent.log"
        return path.read_text() if path.exists() else ""

    def keep(self, bundle: Bundle, *, pinned: bool = True) -> None:
        """Put a bundle on the gateway's disk as the one that served last."""
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
            "broker": {"host": "127.0.0.1", "port": self.port, "reconnect_max_s": 1.0},
            "registry": {"url": self.registry or "file:///nonexistent", "root": str(root)},
            "pipelines": self.pipelines,
        }
        for name, section in self.sections.items():
            document[name] = {**document.get(name, {}), **section}
        self.config.write_bytes(tomli_w.dumps(document).encode())
        return self.config

    def start(self) -> Self:
        """Start the agent; `connected` or `log` tell how far it is."""
        self.write_config()
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.under, sys.executable, "-m", "agent", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        return self

    def start_serving(self) -> Self:
        """Start, and wait until the broker has subscribed the agent: nothing passes it by then."""
        times = self.log.count("INFO subscribed")
        self.start()
        self.wait_for_log("INFO subscribed", times=times + 1)
        return self

    def wait_for_log(self, text: str, times: int = 1, timeout_s: float = START_S) -> None:
        """Wait until the agent has logged `text`; fails with the log if it does not."""

        def logged() -> bool:
            if self.log.count(text) >= times:
                return True
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"agent ended with {self.process.returncode}:\n{self.log}")
            return False

        eventually(logged, timeout_s, f"'{text}' in the log:\n{self.log}")

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """End it as systemd would, and return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind."""
        if self.process is not None and self.process.poll() is None:
            if error is None:
                self.stop()
            else:
                self.kill()
