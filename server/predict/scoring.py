"""The paths of MLflow's scoring server, for clients that know no other.

| method | path | answer |
| --- | --- | --- |
| POST | /invocations | predictions for one of the four forms |
| GET | /ping, /health | whether every stream has a model |
| GET | /version | version of millhand |

Source: mlflow/pyfunc/scoring_server/__init__.py and mlflow/exceptions.py of MLflow 3.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version as version_of
from typing import Any, Final

from server.batching.scheduler import Version
from server.http.answer import Answer
from server.http.document import as_object, parsed
from server.http.refusals import EncodingError, RefusedError
from server.http.request import Request
from server.http.routes import Handler
from server.predict.answering import Answering
from server.predict.forms import PARAMS, form_of, taken
from server.settings import Limits
from server.streams.served import ServedStreams

_TEXT: Final = b"text/plain"
_CHOICES: Final = ("stream", "version")
_ERROR_CODES: Final[Mapping[int, str]] = {
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's codes by status; every other refusal is a BAD_REQUEST."""


class Scoring:
    """Answers clients of MLflow's scoring server.

    Args:
        served: the streams that are served.
        answering: answers rows and windows.
        limits: limits of a request.
    """

    def __init__(self, served: ServedStreams, answering: Answering, limits: Limits) -> None:
        self._served, self._answering, self._limits = served, answering, limits

    def table(self) -> Sequence[tuple[str, str, Handler]]:
        """Method, path and handler of everything that is answered here."""
        return (
            ("POST", "/invocations", self._invocations),
            ("GET", "/ping", self._ping),
            ("GET", "/health", self._ping),
            ("GET", "/version", self._version),
        )

    async def _invocations(self, request: Request) -> Answer:
        try:
            return await self._scored(request)
        except RefusedError as exc:
            code = _ERROR_CODES.get(exc.status, "BAD_REQUEST")
            exc.document = {"error_code": code, "message": str(exc)}
            raise

    async def _scored(self, request: Request) -> Answer:
        asked = request.query(*_CHOICES)
        if request.header(b"content-type").lower().startswith(b"text/csv"):
            raise EncodingError("the body is text/csv; allowed is application/json")
        body = parsed(await request.body(self._limits.max_body_bytes, self._limits.client_s))
        form = form_of(body)
        version = self._found({**asked, **_params(body.get(PARAMS), asked)})
        rows, windows = taken(form, body[form], self._answering.parts(version))
        if windows is not None:
            return await self._answering.windows(version, windows)
        return await self._answering.rows(version, rows)

    def _found(self, asked: Mapping[str, str]) -> Version:
        """The version that is asked; with one stream served, it need not be named."""
        names = list(self._served.slots)
        stream = asked.get("stream", names[0] if len(names) == 1 else "")
        if not stream:
            raise RefusedError(
                f"no stream is named, and several are served: add ?stream= with one of "
                f"{', '.join(names)}"
            )
        return self._served.version(stream, asked.get("version", ""))

    async def _ping(self, _: Request) -> Answer:
        self._served.check_ready()
        return Answer(200, b"\n", _TEXT)

    async def _version(self, _: Request) -> Answer:
        return Answer(200, version_of("millhand").encode(), _TEXT)


def _params(params: Any, asked: Mapping[str, str]) -> Mapping[str, str]:  # noqa: ANN401  any JSON value
    """What a request names under `params`, which stands for the query where a client has none."""
    given = as_object(params or {}, PARAMS)
    for name, value in given.items():
        if name not in _CHOICES or name in asked or not isinstance(value, str):
            raise RefusedError(
                f"{PARAMS} has '{name[:40]}' as {type(value).__name__}; allowed are the texts "
                f"{' and '.join(_CHOICES)}, each here or in the query"
            )
    return given
