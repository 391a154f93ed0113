"""The paths of retraining."""

from collections.abc import Iterator
from typing import Final

from server.openapi.operation import JSON, Body, Operation, answered
from server.openapi.refusals import BODY, NAMED
from server.openapi.schemas import ANY, array, record, table, text

TAG: Final = "Retraining"
_WHOLE: Final = table(ANY, "State, step, proposal with its figures, result, next commands, ledger.")
_WISHES: Final = {
    "accept": "Have a model trained as it was proposed",
    "decline": "Have nothing come of a proposal",
}


def _decision(wish: str, summary: str) -> Operation:
    return Operation(
        id=f"{wish}_retraining",
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
    ("GET", "/v1/retrainings"): Operation(
        id="retrainings",
        tag=TAG,
        summary="Every proposal to train a model again in a line",
        answer=answered(
            "The proposals, why nothing is proposed, and what does not go on by stream.",
            record(
                {"trouble": text(), "troubles": table(text()), "retrainings": array(table(ANY))}
            ),
        ),
    ),
    ("GET", "/v1/retrainings/{retraining}"): Operation(
        id="retraining",
        tag=TAG,
        summary="A proposal with its figures, its result and its ledger",
        answer=answered("The retraining.", _WHOLE),
        refused=NAMED,
    ),
    **{
        ("POST", f"/v1/retrainings/{{retraining}}/{wish}"): _decision(wish, summary)
        for wish, summary in _WISHES.items()
    },
}


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Method and path, and the operation, of retraining."""
    yield from _OPERATIONS.items()
