"""The table of paths: which handler answers which method on which path."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from server.http.refusals import MethodError, NotFoundError
from server.http.request import Handler

Table = Sequence[tuple[str, str, Handler]]
"""Method, path with `{names}`, and handler."""
_MAX_KNOWN: Final = 1000
_MAX_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Route:
    """What is on a path.

    Attributes:
        pattern: the path with `{names}`; it labels counters.
        handlers: handler by method.
        names: the named parts, decoded.
    """

    pattern: str
    handlers: Mapping[str, Handler]
    names: Mapping[str, str]


class Routes:
    """All paths of the server.

    Args:
        table: method, path with `{names}`, and handler.
    """

    def __init__(self, table: Table) -> None:
        self._patterns: dict[tuple[str, ...], dict[str, Handler]] = {}
        for method, pattern, handler in table:
            self._patterns.setdefault(tuple(pattern.split("/")), {})[method] = handler
        self._known: dict[bytes, Route] = {}

    @property
    def keys(self) -> AbstractSet[tuple[str, str]]:
        """Method and path with `{names}` of everything that is answered."""
        return {
            (method, "/".join(parts))
            for parts, handlers in self._patterns.items()
            for method in handlers
        }

    def find(self, path: bytes) -> Route:
        """The route of a path as it was sent, percent-encoded.

        It is split first and decoded afterwards, so that a name may have a slash in it.

        Raises:
            NotFoundError: there is none.
        """
        route = self._known.get(path)
        if route is None:
            route = self._search(path)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[path] = route
        return route

    def handler(self, route: Route, method: str) -> Handler:
        """The handler of a method; that of GET also answers HEAD.

        Raises:
            MethodError: the path has no such method.
        """
        found = route.handlers.get("GET" if method == "HEAD" else method)
        if found is None:
            allowed = {*route.handlers, *(("HEAD",) if "GET" in route.handlers else ())}
            raise MethodError(
                f"{method[:_MAX_SHOWN]} is not allowed on {route.pattern}; allowed is "
                f"{', '.join(sorted(allowed))}",
                sorted(allowed),
            )
        return found

    def _search(self, path: bytes) -> Route:
        parts = path.decode("ascii", "replace").split("/")
        if len(parts) > 2 and not parts[-1]:  # noqa: PLR2004  more than the root: /v2/ is /v2
            parts.pop()
        for pattern, handlers in self._patterns.items():
            if len(pattern) == len(parts):
                names = _matched(pattern, parts)
                if names is not None:
                    return Route("/".join(pattern), handlers, names)
        shown = unquote("/".join(parts))[:_MAX_SHOWN]
        raise NotFoundError(f"there is nothing at '{shown}'; docs/api.md lists what there is")


def _matched(pattern: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    """The named parts of a path; None where it does not have the pattern."""
    names = {}
    for wanted, found in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            if not found:
                return None
            names[wanted[1:-1]] = unquote(found)
        elif wanted != found:
            return None
    return names
