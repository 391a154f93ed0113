"""Settings of the registry: where bundles come from, how they are reached, and limits of a pull."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from models.address import shortened
from models.bundle.package import MAX_BUNDLE_BYTES
from models.settings import Seconds, Section
from serving.registry.access import Access
from serving.registry.origin import Origin, origin_of

_HOW = (
    "give them as files instead: token_file, or username and password_file, or cert_file and"
    " key_file, under [registry]"
)


class Registry(Section):
    """Where signed bundles come from, and the trusted root that the operator has installed.

    Attributes:
        url: address of the registry's folder, by file://, http:// or https://.
        root: file with the root metadata from which all trust comes.
        poll_s: seconds after which the agent looks for a newer bundle, with jitter.
        deadline_s: seconds that one pull may take.
        max_bundle_bytes: bytes of the longest bundle that is accepted.
        allowed_origins: other servers to which the registry may redirect, as `https://host` or
            `https://host:port`; they are never sent credentials.
        token_file: file with a bearer token (RFC 6750); None without one.
        username: user name for basic authentication (RFC 7617); None without one.
        password_file: file with the password of `username`.
        ca_file: file with the certificate authorities to trust instead of those of the system, in
            PEM.
        cert_file: file with the client certificate, in PEM; None without one.
        key_file: file with the key of `cert_file`, in PEM and without a password.
    """

    url: str
    root: Path
    poll_s: Seconds = 3600.0
    deadline_s: Seconds = 600.0
    max_bundle_bytes: Annotated[int, Field(ge=1024, le=MAX_BUNDLE_BYTES)] = 256 << 20
    allowed_origins: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    token_file: Path | None = None
    username: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def access(self) -> Access:
        """The settings that concern the connection."""
        return Access.of(self)

    @model_validator(mode="after")
    def _address_is_usable(self) -> Self:
        # A model's validator, because the message of a field's would repeat its value.
        scheme = urlsplit(self.url).scheme if _is_url(self.url) else ""
        if scheme not in ("file", "http", "https"):
            raise ValueError(
                f"url is '{shortened(self.url)}'; it must begin with file://, http:// or https://"
            )
        if scheme != "file":
            self._check_web_address(self.url, "url")
        for origin in self.allowed_origins:
            self._check_web_address(origin, "allowed_origins")
        return self

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file must be set both, or neither")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file must be set both, or neither")
        if self.token_file and self.username:
            raise ValueError(
                "token_file and username are both set, but a request carries only one of them:"
                " set either token_file, or username and password_file"
            )
        if self.username and (":" in self.username or not self.username.isprintable()):
            raise ValueError("username may have no colon and no control character (RFC 7617, 2)")
        return self

    @model_validator(mode="after")
    def _credentials_are_encrypted(self) -> Self:
        named = [name for name in ("token_file", "password_file") if getattr(self, name)]
        tls = [name for name in ("ca_file", "cert_file") if getattr(self, name)]
        origin = _origin(self.url)
        if origin is None or not origin.is_encrypted:
            if tls:
                raise ValueError(f"{' and '.join(tls)} can only be used with an https:// url")
            if named and not (origin is not None and origin.is_this_machine):
                raise ValueError(
                    f"{named[0]} is set, but the url is not https://: everybody on the way could"
                    " read it (RFC 6750, 5.3). Use https://, or remove the setting"
                )
        return self

    @model_validator(mode="after")
    def _origins_keep_the_encryption(self) -> Self:
        own = _origin(self.url)
        if self.allowed_origins and own is None:
            raise ValueError("allowed_origins is set, but a file:// registry redirects nowhere")
        for origin in self.allowed_origins:
            address = urlsplit(origin)
            if address.path not in ("", "/"):
                raise ValueError(
                    f"allowed_origins has '{shortened(origin)}'; it must be a scheme and a host,"
                    " such as https://cdn.example, without a path"
                )
            if own is not None and own.is_encrypted and not origin_of(origin).is_encrypted:
                raise ValueError(
                    f"allowed_origins has '{shortened(origin)}', but the url is https://: it may"
                    " only lead to https://"
                )
        return self

    @staticmethod
    def _check_web_address(url: str, key: str) -> None:
        try:
            origin_of(url)
        except ValueError as exc:
            how = f"; {_HOW}" if "@" in url else ""
            raise ValueError(f"{key} is '{shortened(url)}': {exc}{how}") from exc
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise ValueError(
                f"{key} is '{shortened(url)}', followed by a query or a fragment: the paths of the"
                f" files are added to the address, so it must end with a folder. For credentials,"
                f" {_HOW}"
            )


def _is_url(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def _origin(url: str) -> Origin | None:
    return None if urlsplit(url).scheme == "file" else origin_of(url)
