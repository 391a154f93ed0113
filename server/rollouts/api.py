"""Rollouts over HTTP: what there is, and what a person decides.

| path | answer |
| --- | --- |
| GET /v1/rollouts | every rollout in a line |
| GET /v1/rollouts/{id} | plan, stage, groups with their gateways and evidence, and the ledger |
| POST /v1/rollouts/{id}/hold, /resume, /revert | decides, with a reason and a name (scope admin) |

Behind the name that a person gives stands that of the token, which nobody can choose.
"""

import asyncio
from functools import partial
from typing import Final

from server.http.answer import Answer, json
from server.http.document import parsed
from server.http.refusals import NotFoundError, RefusedError, UnavailableError
from server.http.request import Request
from server.http.routes import Table
from server.rollouts.decisions import Wish
from server.rollouts.errors import DecisionError, RolloutError
from server.rollouts.service import RolloutService
from serving import log

_MAX_BODY_BYTES: Final = 4096
_KEYS: Final = ("reason", "by")


class RolloutApi:
    """Answers what is asked about rollouts.

    Args:
        service: the controller.
    """

    def __init__(self, service: RolloutService) -> None:
        self._service = service

    def table(self) -> Table:
        """Method, path and handler of everything that is answered here."""
        path = "/v1/rollouts/{rollout}"
        return (
            ("GET", "/v1/rollouts", self._all),
            ("GET", path, self._one),
            ("POST", f"{path}/hold", partial(self._decide, "hold")),
            ("POST", f"{path}/resume", partial(self._decide, "resume")),
            ("POST", f"{path}/revert", partial(self._decide, "revert")),
        )

    async def _all(self, request: Request) -> Answer:
        request.query()
        report = self._service.report
        return json({"trouble": report.trouble, "rollouts": list(report.summaries)})

    async def _one(self, request: Request) -> Answer:
        request.query()
        report, rollout = self._service.report, request.names["rollout"]
        if rollout not in report.rollouts:
            known = ", ".join(report.rollouts) or "none"
            raise NotFoundError(f"there is no rollout '{rollout[:64]}'; there are {known}")
        return json(report.rollouts[rollout])

    async def _decide(self, wish: Wish, request: Request) -> Answer:
        rollout = request.names["rollout"]
        document = parsed(request.body(_MAX_BODY_BYTES) or b"{}")
        said = {key: str(document.get(key, "")) for key in _KEYS}
        if unknown := document.keys() - {*_KEYS}:
            names = ", ".join(sorted(unknown))[:100]
            raise RefusedError(f"the body has {names}; allowed are reason and by")
        if request.token and said["by"].strip():
            said["by"] = f"{said['by'].strip()} (token {request.token})"
        try:
            await asyncio.to_thread(self._service.decide, wish, rollout, **said)
        except DecisionError as exc:
            raise RefusedError(str(exc)) from exc
        except RolloutError as exc:
            raise UnavailableError(str(exc)) from exc
        log.info("rollout decided", wish=wish, rollout=rollout, by=said["by"])
        return json({"rollout": rollout, "decided": wish, **said})
