"""What a look into a registry costs, measured with the client of the agent over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from models.rollout.plan import Group, Plan
from models.rollout.stage import Stage
from serving.publishing import repository
from serving.publishing.keys import Keys
from serving.publishing.rollouts import publish_plan, write_stage
from serving.registry.part import Situation
from serving.registry.pull import PullRequest, pull
from tests.kit.bundles.graphs import linear_bundle

STREAM = "press"


class Traffic(NamedTuple):
    """What went over the network.

    Attributes:
        requests: requests that the store has answered.
        bytes: bytes of the bodies that it has sent.
    """

    requests: int = 0
    bytes: int = 0

    def __add__(self, other: object) -> "Traffic":
        """Both together."""
        assert isinstance(other, Traffic)  # noqa: S101  a caller's mistake
        return Traffic(self.requests + other.requests, self.bytes + other.bytes)


class Costs(NamedTuple):
    """Traffic between one gateway and the store.

    Attributes:
        idle: a look that finds nothing new.
        plan: a look that finds a plan, its first stage and a new list of bundles.
        stage: a look that finds a new stage.
        bundle: the download of a bundle.
    """

    idle: Traffic
    plan: Traffic
    stage: Traffic
    bundle: Traffic


class _Store(ThreadingHTTPServer):
    """A static store on loopback, which counts."""

    daemon_threads = True
    sent = Traffic()

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def count(self) -> Traffic:
        """What was sent since the last call."""
        sent, self.sent = self.sent, Traffic()
        return sent


class _Handler(SimpleHTTPRequestHandler):
    server: _Store

    def copyfile(self, source: Any, outputfile: Any) -> None:  # noqa: ANN401  as the base
        """Send a file, and count its bytes."""
        content = source.read()
        outputfile.write(content)
        self.server.sent += Traffic(0, len(content))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Count a request instead of printing it."""
        del code, size
        self.server.sent += Traffic(1, 0)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[_Store]:
    store = _Store(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=store.serve_forever)
    thread.start()
    try:
        yield store
    finally:
        store.shutdown()
        thread.join()
        store.server_close()


def measure(folder: Path, plan: Plan) -> Costs:
    """Measure what a gateway asks of a store in the course of a rollout.

    Args:
        folder: an empty folder.
        plan: the plan of the rollout, for a change from seq 1 to seq 2 of the stream `press`.
    """
    directory, keys = folder / "registry", Keys(folder / "keys")
    repository.init(directory, keys)
    former, bundle = (linear_bundle(STREAM, seq, [1.0]) for seq in (1, 2))
    repository.publish(directory, former, keys)
    with _served(directory) as store:
        look = partial(_look, folder, keys, store.url)
        look(is_download=True)
        store.count()
        look()
        idle = store.count()
        publish_plan(directory, plan, keys, bundle=bundle)
        write_stage(directory, keys, _stage(plan, 1))
        look()
        found = store.count()
        write_stage(directory, keys, _stage(plan, 2))
        look()
        stage = store.count()
        look(is_download=True)
        download = store.count()
    return Costs(idle, found, stage, Traffic(1, download.bytes - idle.bytes))


def _look(folder: Path, keys: Keys, url: str, *, is_download: bool = False) -> None:
    request = PullRequest(
        url=url,
        root=keys.root,
        state_dir=folder / "gateway",
        stream=STREAM,
        seq=None,
        destination_dir=folder / "bundles",
        max_bytes=100_000_000,
        deadline_s=60,
        check=not is_download,
        situation=Situation(gateway="gateway-0", serves=1),
    )
    for place in (request.state_dir, request.destination_dir):
        place.mkdir(exist_ok=True)
    pull(request, on_progress=lambda _received, _total: None, cancelled=threading.Event())


def _stage(plan: Plan, number: int) -> Stage:
    time = datetime.now(UTC)
    return Stage(rollout=plan.id, stream=plan.stream, epoch=1, stage=number, time=time)


def plan_of(groups: tuple[Group, ...], begins: datetime, hours: float) -> Plan:
    """A plan for a change from seq 1 to seq 2 of the stream `press`.

    Args:
        groups: its groups.
        begins: when it begins.
        hours: its deadline, hours later.
    """
    deadline = begins + timedelta(hours=hours)
    return Plan(id="press-2", stream=STREAM, seq=2, groups=groups, deadline=deadline)
