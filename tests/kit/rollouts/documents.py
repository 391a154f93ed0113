"""Plans, stages and documents of gateways, with what tests leave out filled in."""

from datetime import UTC, datetime, timedelta

from models.control.documents import Current
from models.control.rollout import Evidence, GateEvidence, RolloutState
from models.rollout.plan import Plan
from models.rollout.stage import Stage
from server.rollouts.rules.fleet import FleetView, Member
from serving.gates.e_values import log_above

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""When rollouts of tests begin."""


def plan(**fields: object) -> Plan:
    """A plan of three named gateways and the rest, for a change of `press` from seq 4 to 5."""
    return Plan.model_validate(
        {
            "id": "press-5",
            "stream": "press",
            "seq": 5,
            "groups": [
                {"name": "first", "gateways": ["a", "b", "c"], "soak_s": 3600},
                {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 7200},
            ],
            "deadline": START + timedelta(days=7),
            **fields,
        }
    )


def stage(number: int = 0, **fields: object) -> Stage:
    """A stage of that plan."""
    return Stage.model_validate(
        {
            "rollout": "press-5",
            "stream": "press",
            "epoch": 1,
            "stage": number,
            "time": START,
            **fields,
        }
    )


def evidence(blocks: int, hits: int = 0, **fields: object) -> Evidence:
    """Evidence of so many blocks, of which `hits` disagree."""
    gate = GateEvidence(
        kind="rate",
        hits=hits,
        misses=blocks - hits,
        limit=0.03,
        log_e=log_above(hits, blocks - hits, 0.03),
    )
    return Evidence.model_validate(
        {
            "stream": "press",
            "rollout": "press-5",
            "champion": 4,
            "candidate": 5,
            "block_s": 600.0,
            "compared": 600 * blocks,
            "gates": {"disagreement": gate.model_dump()},
            **fields,
        }
    )


def member(
    gateway: str,
    state: str = "waiting",
    *,
    seq: int | None = None,
    online: bool = True,
    shown: Evidence | None = None,
    **fields: object,
) -> Member:
    """A gateway in a state of the rollout; it serves the bundle where the state says so."""
    serves = seq or (5 if state in {"probation", "serving"} else 4)
    said = RolloutState.model_validate(
        {"id": "press-5", "epoch": 1, "stage": 0, "state": state, "former": 4, **fields}
    )
    current = Current(stream="press", state="serving", seq=serves, rollout=said)
    return Member(gateway, online, current, shown)


def view(*members: Member, missing: str = "") -> FleetView:
    """What the controller knows of the gateways."""
    return FleetView({one.gateway: one for one in members}, missing)
