"""Settings of access: tokens, what needs none, names of the server, TLS, sessions of the page."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from models.settings import Count, Seconds, Section

Scope = Literal["infer", "read", "admin"]
"""What a client may do: ask models, look at everything else, or change what is served."""
Scopes = Annotated[tuple[Scope, ...], Field(max_length=3)]
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Access(Section):
    """Who may ask what, and how connections are encrypted.

    Attributes:
        tokens_file: file with a line for each token: its name, its scopes, and its SHA-256, as
            `millhand-server token` prints it. It is read again when it changes. None: no tokens.
        open_scopes: scopes that need no token, where the server listens on this machine only. By
            default these are infer and read without a `tokens_file`, and none with one.
        hosts: names by which browsers may reach the server, beside its addresses and localhost.
        cert_file: file with the server's certificate, and those that lead to its authority, in
            PEM; None: connections are not encrypted. It is read again when it changes.
        key_file: file with the key of `cert_file`, in PEM and without a password.
        client_ca_file: file with the authorities of client certificates, in PEM; None: clients
            are not asked for one.
        client_certificate: whether a client without a certificate is let in.
        certificate_scopes: scopes that a client with a certificate has without a token.
        allow_plaintext: whether tokens may arrive without TLS from other machines, because
            something before the server encrypts.
        session_s: seconds after which a session of the page ends.
        max_sessions: sessions of the page at a time; for a further one, the oldest ends.
    """

    tokens_file: Path | None = None
    open_scopes: Scopes | None = None
    hosts: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    client_certificate: Literal["required", "optional"] = "required"
    certificate_scopes: Scopes = ()
    allow_plaintext: bool = False
    session_s: Seconds = 43_200.0
    max_sessions: Count = 1000

    @property
    def files(self) -> Mapping[str, Path | None]:
        """Files by the key that names them; None where none is named."""
        names = ("tokens_file", "cert_file", "key_file", "client_ca_file")
        return {f"access.{name}": getattr(self, name) for name in names}

    @property
    def secrets(self) -> Mapping[str, Path | None]:
        """Those of the files that hold secrets."""
        return {name: self.files[name] for name in ("access.tokens_file", "access.key_file")}

    @property
    def is_encrypted(self) -> bool:
        """Whether connections are encrypted by TLS."""
        return self.cert_file is not None

    @property
    def open(self) -> frozenset[Scope]:
        """The scopes that need no token."""
        if self.open_scopes is not None:
            return frozenset(self.open_scopes)
        return frozenset[Scope](() if self.tokens_file is not None else ("infer", "read"))

    def check_address(self, host: str) -> None:
        """Check that what may be asked without a token, or read on the way, stays on this machine.

        Raises:
            ValueError: the settings let others in; the message says what to set.
        """
        if is_of_this_machine(host):
            return
        found = f"server.host is '{host}', which other machines can reach"
        if self.tokens_file is None:
            raise ValueError(
                f"{found}, but access.tokens_file is not set, so that everybody might ask: make a "
                "token with `millhand-server token NAME`, and set access.tokens_file; or set "
                "server.host to 127.0.0.1"
            )
        if self.open:
            raise ValueError(
                f"{found}, but access.open_scopes is {sorted(self.open)}: remove it, or set "
                "server.host to 127.0.0.1"
            )
        if not self.is_encrypted and not self.allow_plaintext:
            raise ValueError(
                f"{found}, but access.cert_file and access.key_file are not set, so that everybody "
                "on the way could read the tokens (RFC 6750, 5.3): set both; or, if something "
                "before the server encrypts, set access.allow_plaintext to true"
            )

    @model_validator(mode="after")
    def _files_go_together(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file must be set both, or neither")
        if self.client_ca_file and not self.cert_file:
            raise ValueError("client_ca_file needs TLS: set cert_file and key_file as well")
        if self.certificate_scopes and not self.client_ca_file:
            raise ValueError("certificate_scopes needs client_ca_file, which verifies certificates")
        return self

    @model_validator(mode="after")
    def _hosts_are_names(self) -> Self:
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"hosts has '{host[:80]}'; it must be a host name in small letters, without a "
                    "scheme and a port, such as gateway-1.example"
                )
        return self


def is_of_this_machine(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
