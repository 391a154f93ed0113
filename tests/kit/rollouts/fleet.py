"""A fleet of real agents on one broker, and a server with the controller of their rollouts."""

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import tomli_w

from models.bundle.package import Bundle
from tests.kit.broker.brokers import HOST
from tests.kit.bundles.published import Published
from tests.kit.bundles.publishing import split_keys
from tests.kit.children import python
from tests.kit.errors import KitError
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.model_server import ModelServer

Sections = Mapping[str, dict[str, object]]
_COMMAND_S: Final = 180.0


def telemetry_topic(gateway: str) -> str:
    """The topic of the one pump of a gateway, which no other gateway reads."""
    return f"plant/{gateway}/p1/telemetry"


class Fleet:
    """Agents that serve one bundle, each with a pump of its own; leave its context to end them.

    Args:
        folder: folder of all files.
        port: port of the broker on the loopback.
        names: ids of the gateways.
        champion: the bundle that all of them serve.

    Attributes:
        published: the registry.
        url: address at which agents find it, by default its folder; it may be changed before
            `prepare`.
        server: the server, which is not started.
        gateways: the gateways by id, which `prepare` makes, and does not start.
    """

    def __init__(self, folder: Path, port: int, names: Sequence[str], champion: Bundle) -> None:
        self.folder, self._port, self._champion = folder, port, champion
        self._stream = champion.manifest.stream
        self.published = Published.create(folder)
        self.published.publish(champion)
        self.url = self.published.url
        self._stack = ExitStack()
        online = split_keys(self.published.keys, folder / "online", "online")
        rollouts = {
            "registry": str(self.published.folder),
            "keys": str(online.folder),
            "broker": {"host": HOST, "port": port},
            "turn_s": 0.1,
            "settle_s": 0.3,
        }
        streams = [{"stream": self._stream}]
        self.server = ModelServer(
            folder / "server", self.published, streams, {"rollouts": rollouts}
        )
        self.server.write_config()
        self.gateways: dict[str, Gateway] = {}
        self._names = names

    def prepare(self, sections: Sections) -> None:
        """Make the gateways.

        Args:
            sections: sections of their configuration.
        """
        for name in self._names:
            pipeline = telemetry_pipeline(self._stream, topic=f"plant/{name}/{{asset}}/telemetry")
            made = Gateway(
                self.folder / name,
                self._port,
                [pipeline],
                registry=self.url,
                root=self.published.keys.root,
                id=name,
                sections=dict(sections),
            )
            made.keep(self._champion, pinned=False)
            self.gateways[name] = self._stack.enter_context(made)

    def plan(
        self, rollout: str, bundle: Bundle, groups: Sequence[Mapping[str, object]], **more: object
    ) -> None:
        """Sign a plan to a bundle by the command line; blocks of time last for a second.

        Raises:
            KitError: it is refused.
        """
        (self.folder / f"{rollout}.zip").write_bytes(bundle.content)
        path = self.folder / f"{rollout}.toml"
        document = {
            "id": rollout,
            "stream": self._stream,
            "seq": bundle.manifest.seq,
            "deadline": datetime.now(UTC) + timedelta(days=1),
            "gates": {"block_s": 1.0},
            "groups": [dict(one) for one in groups],
        }
        path.write_bytes(tomli_w.dumps({**document, **more}).encode())
        keys, bundled = str(self.published.keys.folder), str(self.folder / f"{rollout}.zip")
        self.command("plan", str(path), "--keys", keys, "--bundle", bundled)

    def begin(
        self, rollout: str, bundle: Bundle, groups: Sequence[Mapping[str, object]], **more: object
    ) -> None:
        """Plan a rollout, and start it."""
        self.plan(rollout, bundle, groups, **more)
        self.command("start", rollout, "--by", "Eva")

    def command(self, *arguments: str) -> None:
        """Run a command of `millhand-server rollout`.

        Raises:
            KitError: it is refused, with what it has said.
        """
        config = str(self.server.folder / "server.toml")
        command = python("server", "rollout", *arguments, "--config", config)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_COMMAND_S
        )
        if done.returncode:
            raise KitError(f"rollout {' '.join(arguments[:2])}: {done.stderr}")

    def told(self, rollout: str) -> dict[str, Any]:
        """A rollout as HTTP tells it."""
        found: dict[str, Any] = self.server.request("GET", f"/v1/rollouts/{rollout}").document
        return found

    def __enter__(self) -> Self:
        """Return the fleet; nothing is started yet."""
        self._stack.enter_context(self.server)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End server and agents."""
        self._stack.__exit__(kind, error, trace)
