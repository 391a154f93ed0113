"""Retraining over HTTP: what was proposed, and what a person decides.

| path | answer |
| --- | --- |
| GET /v1/retrainings | every proposal in a line |
| GET /v1/retrainings/{id} | one of the newest: proposal, result, and the ledger |
| POST /v1/retrainings/{id}/accept, /decline | decides, with a reason and a name (scope admin) |
"""

import asyncio
from functools import partial
from typing import Final

from server.http.answer import Answer, json
from server.http.document import parsed
from server.http.refusals import NotFoundError, RefusedError, UnavailableError
from server.http.request import Request
from server.http.routes import Table
from server.retraining.errors import RetrainingError
from server.retraining.service import RetrainingService
from server.rollouts.errors import FencedError, RolloutError
from serving import log

_MAX_BODY_BYTES: Final = 4096
_KEYS: Final = ("reason", "by")


class RetrainingApi:
    """Answers what is asked about retraining.

    Args:
        service: the loop.
    """

    def __init__(self, service: RetrainingService) -> None:
        self._service = service

    def table(self) -> Table:
        """Method, path and handler of everything that is answered here."""
        path = "/v1/retrainings/{retraining}"
        return (
            ("GET", "/v1/retrainings", self._all),
            ("GET", path, self._one),
            ("POST", f"{path}/accept", partial(self._answer, "accept")),
            ("POST", f"{path}/decline", partial(self._answer, "decline")),
        )

    async def _all(self, request: Request) -> Answer:
        request.query()
        report = self._service.report
        return json(
            {
                "trouble": report.trouble,
                "troubles": dict(report.troubles),
                "retrainings": list(report.summaries),
            }
        )

    async def _one(self, request: Request) -> Answer:
        request.query()
        report, name = self._service.report, request.names["retraining"]
        if name not in report.retrainings:
            known = ", ".join(report.retrainings) or "none"
            raise NotFoundError(
                f"'{name[:64]}' is none of the newest proposals, which are {known}; "
                "millhand-server retrain show has older ones"
            )
        return json(report.retrainings[name])

    async def _answer(self, wish: str, request: Request) -> Answer:
        name = request.names["retraining"]
        document = parsed(request.body(_MAX_BODY_BYTES) or b"{}")
        if unknown := document.keys() - {*_KEYS}:
            names = ", ".join(sorted(unknown))[:100]
            raise RefusedError(f"the body has {names}; allowed are reason and by")
        said = {key: str(document.get(key, "")) for key in _KEYS}
        try:
            state = await asyncio.to_thread(self._service.answer, name, wish, **said)
        except (RetrainingError, FencedError) as exc:
            raise RefusedError(str(exc)) from exc
        except RolloutError as exc:
            raise UnavailableError(str(exc)) from exc
        log.info("retraining decided", wish=wish, retraining=name, by=said["by"])
        return json({"retraining": name, "state": state, **said})
