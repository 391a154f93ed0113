"""Loads and unloads models by request (Triton's extension_model_repository.md), if that is allowed.

    POST /v2/repository/models/{model}/load      serves the bundle of the parameter `version`, or
                                                 that which the configuration selects
    POST /v2/repository/models/{model}/unload    serves nothing until a load, or until a restart

A request only selects among the bundles that the registry has signed: it can bring no model of its
own. A bundle comes by the way of every update, with proof and golden vectors.
"""

import asyncio
from time import monotonic
from typing import Any, ClassVar, Final

from models.control.documents import Desired
from server.http.answer import Answer, json
from server.http.document import as_object, parsed
from server.http.refusals import LateError, RefusedError, UnavailableError
from server.http.request import Request
from server.http.routes import Table
from server.settings import Settings
from server.streams.announcer import Notices
from server.streams.served import ServedStreams
from serving import log
from serving.updates.updater import Updater

_LOOK_S: Final = 0.05
_MAX_BODY_BYTES: Final = 4096
_MAX_SEQ: Final = 2**53 - 1


class ControlOffError(RefusedError):
    """The configuration does not allow that models are loaded and unloaded by request."""

    status: ClassVar[int] = 403
    reason: ClassVar[str] = "forbidden"


class RepositoryControl:
    """Answers requests to load and to unload a model.

    Args:
        served: the streams that are served.
        updater: brings a stream to the bundle that it should run.
        notices: what updates have said.
        settings: whether the requests are allowed, and within what time they are answered.
    """

    def __init__(
        self, served: ServedStreams, updater: Updater, notices: Notices, settings: Settings
    ) -> None:
        self._served, self._updater, self._notices = served, updater, notices
        self._is_allowed = settings.server.repository_control
        self._limits = settings.limits
        self._configured = {one.stream: one.seq for one in settings.streams}

    def table(self) -> Table:
        """Method, path and handler; whoever may call them changes what the server serves."""
        path = "/v2/repository/models/{model}"
        return (("POST", f"{path}/load", self._load), ("POST", f"{path}/unload", self._unload))

    async def _load(self, request: Request) -> Answer:
        stream, given = await self._asked(request)
        if unknown := given.keys() - {"version"}:
            raise RefusedError(
                f"parameters has {', '.join(sorted(unknown))[:100]}; allowed is version alone: "
                "only signed bundles of the registry can be loaded"
            )
        seq = _seq(given["version"]) if "version" in given else self._configured[stream]
        log.info("load requested", stream=stream, seq=seq)
        self._notices.outcomes.pop(stream, None)
        self._served.slot(stream).is_unloaded = False
        self._updater.resume(Desired.model_construct(stream=stream, seq=seq))
        await self._finished(stream)
        self._check_loaded(stream, seq)
        return json({})

    async def _unload(self, request: Request) -> Answer:
        stream, given = await self._asked(request)
        if unknown := given.keys() - {"unload_dependents"}:
            raise RefusedError(
                f"parameters has {', '.join(sorted(unknown))[:100]}; allowed is unload_dependents, "
                "which has no effect"
            )
        log.info("unload requested", stream=stream)
        self._served.slot(stream).unload()
        self._updater.suspend(stream)
        return json({})

    async def _asked(self, request: Request) -> tuple[str, dict[str, Any]]:
        """The stream and the parameters of a request."""
        stream = request.names["model"]
        if not self._is_allowed:
            raise ControlOffError(
                "models are neither loaded nor unloaded by request here: the server follows its "
                "registry; server.repository_control = true would allow it"
            )
        request.model = self._served.slot(stream).stream
        document = parsed(request.body(_MAX_BODY_BYTES) or b"{}")
        parameters = as_object(document.get("parameters", {}), "parameters")
        return stream, parameters

    async def _finished(self, stream: str) -> None:
        """Wait until the attempt has ended."""
        ends_s = monotonic() + self._limits.request_s
        while self._updater.is_under_way([stream]):
            if monotonic() > ends_s:
                raise LateError(
                    f"'{stream}' is still being loaded after {self._limits.request_s:g} s "
                    "(limits.request_s), and goes on: /v2/repository/index says how it ends"
                )
            await asyncio.sleep(_LOOK_S)

    def _check_loaded(self, stream: str, seq: int | None) -> None:
        """Refuse the request where the attempt has ended without the model that is wanted."""
        outcome, slot = self._notices.outcomes.get(stream), self._served.slot(stream)
        if outcome is not None and outcome.state == "refused":
            raise RefusedError(f"'{stream}' was not loaded: {outcome.message} ({outcome.error})")
        serving = slot.model.manifest.seq if slot.model is not None else None
        if outcome is not None and outcome.state == "waiting":
            raise UnavailableError(
                f"'{stream}' is not loaded yet, and is tried again: {outcome.message} "
                f"({outcome.error})"
            )
        if serving is None or seq not in (None, serving):
            raise UnavailableError(f"'{stream}' is not loaded: another request has changed it")


def _seq(value: object) -> int:
    """The number of a bundle, as a number or as text."""
    text = str(value)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:20]) <= _MAX_SEQ:
        raise RefusedError(
            f"parameters.version is {text[:40]!r}; allowed is the seq of a bundle, from 1 on"
        )
    return int(text)
