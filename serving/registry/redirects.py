"""Which redirects of a registry are followed: those to its own origin, and to those that are named.

A mirror could otherwise make the gateway send requests to any host that it can reach: a controller,
a camera, an address that only the gateway may ask (CWE-918, server-side request forgery). Allowed
is what all of these rules allow:

- The target is on the origin that was asked, or on one of `registry.allowed_origins`.
- It has no user name and no password in it.
- TLS is never left: a redirect from https:// to http:// is refused even where it is named.
- At most `MAX_REDIRECTS` redirects follow on each other.

For example: https://models.example/a may lead to https://models.example/b, to
https://cdn.example/b if that origin is named, but neither to http://models.example/b, nor to
https://models.example:8443/b, nor to file:///etc/hostname.
"""

from typing import Final
from urllib.parse import urljoin

from models.address import shortened
from serving.registry.origin import Origin, origin_of
from serving.registry.refusals import RedirectedError

MAX_REDIRECTS: Final = 3


class Redirects:
    """The redirects of a registry.

    Args:
        allowed_origins: origins beside that of the registry, as the operator has written them.
    """

    def __init__(self, allowed_origins: tuple[str, ...] = ()) -> None:
        self._allowed = frozenset(map(origin_of, allowed_origins))

    def target(self, asked: str, at: str, location: str) -> str:
        """The URL that a redirect leads to.

        Args:
            asked: URL that was asked for, before any redirect.
            at: URL that has answered with the redirect.
            location: header Location of that answer; may be relative.

        Raises:
            RedirectedError: the redirect is not allowed; the message says where it leads.
        """
        refusal = f"{shortened(asked)} redirects to"
        try:
            target = urljoin(at, location)
            origin = origin_of(target)
        except ValueError as exc:
            raise RedirectedError(
                f"{refusal} '{shortened(location)}', which is not followed: {exc}. Look at the"
                " web server's configuration, or at what answers in its place"
            ) from exc
        own = origin_of(asked)
        if origin_of(at).is_encrypted and not origin.is_encrypted:
            raise RedirectedError(
                f"{refusal} {shortened(target)}, which is not followed, because it leaves TLS:"
                f" from {origin_of(at)} to {origin}"
            )
        if origin != own and origin not in self._allowed:
            raise RedirectedError(f"{refusal} {shortened(target)}, {_remedy(own, origin)}")
        return target


def too_many(asked: str) -> RedirectedError:
    """The error for a URL whose redirects do not end.

    Args:
        asked: URL that was asked for.
    """
    return RedirectedError(
        f"{shortened(asked)} redirects more often than the {MAX_REDIRECTS} times that are allowed"
    )


def _remedy(own: Origin, origin: Origin) -> str:
    return (
        f"which is not followed: only {own} is asked. If the registry has moved, correct"
        f" registry.url; if its files really lie there, set allowed_origins = ['{origin}'] under"
        " [registry]. A login page of the network (captive portal) answers like this too"
    )
