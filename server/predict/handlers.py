"""The paths of version 1 of millhand's own interface.

| method | path | answer |
| --- | --- | --- |
| GET | /v1/streams | all streams, with what keeps one from answering |
| GET | /v1/streams/{stream}[/versions/{version}] | manifest, and an example as a curl line |
| GET | .../report | the report of the bundle, a page |
| POST | .../predict | predictions for rows of readings |
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from models.bundle.golden import read_golden
from models.bundle.withheld import is_withheld
from models.errors import BundleError, DecodeError
from models.input.codecs.document import parse
from models.input.reasons import REASONS
from server.batching.scheduler import Version
from server.http.answer import Answer, json
from server.http.document import as_object
from server.http.refusals import NotFoundError, RefusedError, UnavailableError
from server.http.request import Request
from server.http.routes import Table
from server.predict.answering import Answering
from server.predict.example import Example, example_of
from server.settings import Limits
from server.streams.announcer import Notices
from server.streams.explaining import asked
from server.streams.served import ServedStreams
from serving.store import Store

_READINGS: Final = "readings"
_WHY: Final = "why"
_HTML: Final = b"text/html; charset=utf-8"
_POLICY: Final = (
    b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'self'; sandbox"
)
"""What a browser may load for a report: its own styles, no script, nothing from elsewhere."""
_PAGE_HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Streams:
    """Answers people, and programs that read signals by their names.

    Args:
        served: the streams that are served.
        answering: answers rows.
        limits: limits of a request.
        notices: what updates have said.
        store: the bundles on disk.
    """

    def __init__(
        self,
        served: ServedStreams,
        answering: Answering,
        limits: Limits,
        notices: Notices,
        store: Store,
    ) -> None:
        self._served, self._answering, self._limits = served, answering, limits
        self._notices, self._store = notices, store
        self._examples: dict[str, Example | None] = {}

    def table(self) -> Table:
        """Method, path and handler of everything that is answered here."""
        stream = "/v1/streams/{stream}"
        both = (stream, f"{stream}/versions/{{version}}")
        return (
            ("GET", "/v1/streams", self._all),
            *(("GET", path, self._one) for path in both),
            *(("GET", f"{path}/report", self._report) for path in both),
            *(("POST", f"{path}/predict", self._predict) for path in both),
        )

    async def _predict(self, request: Request) -> Answer:
        version = self._served.requested(request)
        is_asked = asked(request.query(_WHY).get(_WHY))
        body = request.body(self._limits.max_body_bytes)
        return await self._answering.rows(version, _readings(body), is_asked)

    async def _all(self, _: Request) -> Answer:
        return json({"streams": [self._listed(name) for name in self._served.slots]})

    async def _one(self, request: Request) -> Answer:
        version = self._served.requested(request)
        manifest, stream = version.model.manifest, request.names["stream"]
        example = await self._example(version)
        named = request.names.get("version", "")
        path = f"/v1/streams/{stream}" + (f"/versions/{named}" if named else "")
        document = {
            **self._listed(stream),
            "version": manifest.version,
            "seq": manifest.seq,
            "sha256": version.model.sha256,
            "manifest": manifest.model_dump(mode="json"),
            "example": example and example.document(f"{request.origin}{path}/predict"),
        }
        return json(document)

    async def _report(self, request: Request) -> Answer:
        version = self._served.requested(request)
        page = await self._member(version, "report.html")
        if not page or is_withheld(page):
            manifest = version.model.manifest
            raise NotFoundError(
                f"{manifest.stream}#{manifest.seq} was published without its report, which stays "
                "with its publisher"
            )
        return Answer(200, page, _HTML, _PAGE_HEADERS)

    async def _example(self, version: Version) -> Example | None:
        """The example of a version; made once, for it reads the golden vectors from the disk."""
        sha256, manifest = version.model.sha256, version.model.manifest
        if sha256 not in self._examples:
            golden = read_golden(await self._member(version, "golden.npz"), manifest)
            needed = self._answering.parts(version).cutter.rows_needed
            serving = self._served.digests
            self._examples = {key: one for key, one in self._examples.items() if key in serving}
            self._examples[sha256] = example_of(manifest, golden, needed)
        return self._examples[sha256]

    async def _member(self, version: Version, name: str) -> bytes:
        (file,) = (one for one in version.model.manifest.files if one.name == name)
        try:
            return await asyncio.to_thread(self._store.member, version.model.ref, file)
        except BundleError as exc:
            raise UnavailableError(f"{name} of the bundle cannot be read ({exc.code})") from exc

    def _listed(self, stream: str) -> Mapping[str, Any]:
        """A stream in short, as its newest version is."""
        slot = self._served.slot(stream)
        if not slot.versions:
            state, reason = self._notices.without_model(slot)
            return {"stream": stream, "state": state, "reason": reason, "versions": []}
        manifest = slot.versions[0].model.manifest
        return {
            "stream": stream,
            "state": "READY",
            "name": manifest.name,
            "task": manifest.task,
            "version": manifest.version,
            "seq": manifest.seq,
            "signals": [channel.name for channel in manifest.channels],
            "versions": list(slot.named),
        }


def _readings(body: bytes) -> Any:  # noqa: ANN401  any JSON value
    """What a request has under its one key."""
    try:
        document = as_object(parse(body), "the body")
    except DecodeError as exc:
        raise RefusedError(f"the body cannot be read: {REASONS[exc.reason]}") from exc
    if list(document) != [_READINGS]:
        found = ", ".join(document)[:100] or "nothing"
        raise RefusedError(f"the body has {found}; allowed is '{_READINGS}' alone")
    return document[_READINGS]
