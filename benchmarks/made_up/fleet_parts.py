"""The parts of a simulated fleet: its bundle, its conditions, its gateways, and what is counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from benchmarks.made_up.store import Traffic
from server.rollouts.rules.fleet import Member

State = Literal["waiting", "shadow", "probation", "serving", "failed"]


class Bundle(NamedTuple):
    """A bundle that is rolled out.

    Attributes:
        name: what it is, for people.
        disagreement: probability that the models disagree in a block of time.
        trips_per_hour: how often a gateway that serves it meets a reading that trips a hard gate.
    """

    name: str
    disagreement: float
    trips_per_hour: float


class Conditions(NamedTuple):
    """The fleet that is simulated.

    Attributes:
        gateways: number of gateways.
        spread_s: seconds over which gateways spread their looks after a hint, as `updates.hint_s`.
        seed: of what is random.
        poll_s: as `registry.poll_s` of a gateway, with a jitter of half of it.
        look_s: seconds that a look into the registry takes.
        proof_s: seconds of download and proof in the child process, on a small gateway.
        healthy_s: as `updates.healthy_s`.
        evidence_s: as `shadow.evidence_s`: a gateway says so often what its shadow has shown.
        turn_s: seconds between two turns of the controller; it looks more often, but decides by
            the minute.
        block_s: seconds of a block of time.
        online_s: seconds for which a gateway is online, in the mean.
        offline_s: seconds for which it is away then, in the mean.
        never: share of the gateways that are away all the time.
    """

    gateways: int
    spread_s: float = 10.0
    seed: int = 0
    poll_s: float = 3600.0
    look_s: float = 1.0
    proof_s: float = 5.0
    healthy_s: float = 60.0
    evidence_s: float = 10.0
    turn_s: float = 60.0
    block_s: float = 60.0
    online_s: float = 19 * 3600.0
    offline_s: float = 3600.0
    never: float = 0.01


@dataclass(slots=True)
class Gateway:
    """One gateway.

    Attributes:
        name: its id.
        group: index of its group; None for none.
        is_online: whether it is online.
        seq: number of the bundle that serves.
        state: as `models.control.rollout.RolloutState`.
        known: stage that it knows, 0 for none.
        known_epoch: epoch that it knows.
        has_bundle: whether it has downloaded the bundle.
        opened_s: when its group was opened for service, or when it came back after that.
        since_s: when it began to serve, or the end of the last block that it has compared.
        hits: blocks that disagreed.
        blocks: blocks that it has compared.
        says: what the broker retains of it.
    """

    name: str
    group: int | None
    is_online: bool = True
    seq: int = 1
    state: State = "waiting"
    known: int = 0
    known_epoch: int = 0
    has_bundle: bool = False
    opened_s: float | None = None
    since_s: float = 0.0
    hits: int = 0
    blocks: int = 0
    says: Member = field(default_factory=lambda: Member(""))


@dataclass(slots=True)
class Found:
    """What the simulation has counted.

    Attributes:
        adopted_s: seconds from the opening of a gateway's step, or its return, until it serves.
        served: gateways that have served the bundle.
        served_s: seconds for which they did, of all gateways together.
        traffic: between gateways and the store.
        most_requests: requests of the store in its busiest second.
        messages: messages that gateways and controller have published, by kind.
        ended_s: when the rollout was done or held; None while it runs.
    """

    adopted_s: list[float] = field(default_factory=list)
    served: int = 0
    served_s: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)
    most_requests: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    ended_s: float | None = None
