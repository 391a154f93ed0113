"""What a look into a registry costs, measured with the client of the agent over HTTP."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from benchmarks.made_up.store import Traffic, served
from models.rollout.plan import Group, Plan
from models.rollout.stage import Stage
from serving.publishing import repository
from serving.publishing.keys import Keys
from serving.publishing.rollouts import publish_plan, write_stage
from serving.registry.part import Situation
from serving.registry.pull import PullRequest, pull
from tests.kit.bundles.graphs import linear_bundle

STREAM = "press"


class Costs(NamedTuple):
    """Traffic between one gateway and the store.

    Attributes:
        idle: a look that finds nothing new.
        plan: a look that finds a plan, its first stage and a new list of bundles.
        stage: a look that finds a new stage.
        bundle: the download of a bundle.
        look_s: seconds that a look takes, in the median.
    """

    idle: Traffic
    plan: Traffic
    stage: Traffic
    bundle: Traffic
    look_s: float = 1.0


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
    with served(directory) as store:
        look = partial(_look, folder, keys, store.url)
        took_s = [look(is_download=True)]
        store.count()
        took_s.append(look())
        idle = store.count()
        publish_plan(directory, plan, keys, bundle=bundle)
        write_stage(directory, keys, _stage(plan, 1))
        took_s.append(look())
        found = store.count()
        write_stage(directory, keys, _stage(plan, 2))
        took_s.append(look())
        stage = store.count()
        look(is_download=True)
        download = store.count()
    return Costs(idle, found, stage, Traffic(1, download.bytes - idle.bytes), median(took_s))


def _look(folder: Path, keys: Keys, url: str, *, is_download: bool = False) -> float:
    """Look into the registry; returns how many seconds that has taken."""
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
    began_s = perf_counter()
    pull(request, on_progress=lambda _received, _total: None, cancelled=threading.Event())
    return perf_counter() - began_s


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
