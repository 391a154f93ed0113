"""The paths of rollouts."""

from collections.abc import Iterator
from typing import Final

from server.openapi.operation import JSON, Body, Operation, answered
from server.openapi.refusals import BODY, NAMED
from server.openapi.schemas import ANY, array, record, table, text

TAG: Final = "Rollouts"
_ROLLOUT: Final = table(ANY, "State, plan, groups with their gateways and evidence, and ledger.")
_WISHES: Final = {
    "hold": "Hold a rollout: no further gateway changes to its bundle",
    "resume": "Let a rollout that is held go on",
    "revert": "Bring back on each gateway the bundle that served there before",
}


def _decision(wish: str, summary: str) -> Operation:
    return Operation(
        id=f"{wish}_rollout",
        tag=TAG,
        summary=summary,
        body=Body(
            description="Why, and who decides it.",
            content={JSON: record({"reason": text("Why."), "by": text("Name of the person.")})},
        ),
        answer=answered("What was decided.", table(text())),
        refused=BODY,
    )


_OPERATIONS: Final = {
    ("GET", "/v1/rollouts"): Operation(
        id="rollouts",
        tag=TAG,
        summary="Every rollout in a line",
        answer=answered(
            "The rollouts, and why none is followed.",
            record({"trouble": text(), "rollouts": array(table(ANY))}),
        ),
    ),
    ("GET", "/v1/rollouts/{rollout}"): Operation(
        id="rollout",
        tag=TAG,
        summary="A rollout with its groups, gateways, evidence and ledger",
        answer=answered("The rollout.", _ROLLOUT),
        refused=NAMED,
    ),
    **{
        ("POST", f"/v1/rollouts/{{rollout}}/{wish}"): _decision(wish, summary)
        for wish, summary in _WISHES.items()
    },
}


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Method and path, and the operation, of rollouts."""
    yield from _OPERATIONS.items()
