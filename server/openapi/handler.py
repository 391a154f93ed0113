"""Answers `GET /openapi.json`."""

import asyncio
from collections.abc import Sequence

import orjson

from server.http.answer import Answer
from server.http.request import Request
from server.http.routes import Table
from server.openapi.document import document
from server.openapi.example import example_of
from server.openapi.operating import PATH
from server.openapi.stream import DescribedStream
from server.streams.served import ServedStreams
from serving.model import Model
from serving.store import Store


class OpenApi:
    """Describes all paths. The document is made again only when a stream has got another bundle.

    Args:
        served: the streams that are served.
        store: has the bundles, and with them the examples.
        table: everything else that the server answers.
    """

    def __init__(self, served: ServedStreams, store: Store, table: Table) -> None:
        self._served, self._store = served, store
        self._routes = [(method, path) for method, path, _ in (*table, *self.table())]
        self._digests: Sequence[str] | None = None
        self._content = b""
        self._making = asyncio.Lock()

    def table(self) -> Table:
        """Method, path and handler of the document."""
        return (("GET", PATH, self._document),)

    async def _document(self, _: Request) -> Answer:
        async with self._making:
            models = [slot.model for slot in self._served.slots.values() if slot.model is not None]
            digests = [model.sha256 for model in models]
            if digests != self._digests:
                self._content = await asyncio.to_thread(self._made, models)
                self._digests = digests
        return Answer(200, self._content)

    def _made(self, models: Sequence[Model]) -> bytes:
        """The document for these models; it reads the disk, and so has a thread of its own."""
        streams = [DescribedStream(one.manifest, example_of(one, self._store)) for one in models]
        return orjson.dumps(document(self._routes, streams))
