"""Requests that a page of another site has a browser send: they are refused.

A browser on a machine of the plant can reach the server, and pages from anywhere run in it. Where
the server trusts the machine, a cookie or a client certificate, such a page could ask in its name:

- By a name of its own that leads to our address (DNS rebinding), the page would be of the same
  origin as our answers. So the name that a request is for must be one of ours.
- By a form or a script (cross-site request forgery), it could send, though not read. So the origin,
  which browsers name, must be the one that the request is for.

A request with a bearer token needs neither: no page of another site can have it.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from server.access.refusals import CrossSiteError, MisdirectedError

_READING: Final = frozenset({"GET", "HEAD"})
_MAX_KNOWN: Final = 1000
_MAX_SHOWN: Final = 80


class Origins:
    """Tells requests of our own pages and of programs from those of other sites.

    Args:
        hosts: names by which browsers may reach the server, beside addresses and localhost.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = frozenset(hosts) | {"localhost"}
        self._known: set[bytes] = set()

    def check(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Do nothing where a request may come from where it comes.

        Raises:
            MisdirectedError: it is for a name that is not ours.
            CrossSiteError: a page of another site has sent it.
        """
        host = headers.get(b"host")
        if host is not None and host not in self._known:  # HTTP 1.0, which no browser speaks
            self._learn(host)
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2].lower() != (host or b"").lower():
            raise CrossSiteError(
                f"the request comes from a page of '{_shown(origin)}', and is for "
                f"'{_shown(host or b'')}'; only pages of this server may ask. A proxy before it "
                "must leave the header Host as it is"
            )
        site = headers.get(b"sec-fetch-site")
        if site in {b"cross-site", b"same-site"} and method not in _READING:
            raise CrossSiteError("the request comes from a page of another site; it may only read")

    def _learn(self, host: bytes) -> None:
        name = host.decode("ascii", "replace").lower()
        bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
        bare = bare.removeprefix("[").removesuffix("]")
        if bare not in self._hosts and not _is_address(bare):
            raise MisdirectedError(
                f"the request is for '{_shown(host)}'; allowed are addresses, localhost and the "
                "names in access.hosts"
            )
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known.add(host)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _shown(value: bytes) -> str:
    return value[:_MAX_SHOWN].decode("ascii", "backslashreplace")
