"""The settings by which a program reaches its MQTT broker."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.settings import Seconds, Section

Port = Annotated[int, Field(ge=1, le=65_535)]


class Broker(Section):
    """The MQTT connection. TLS is used when `ca_file` or `tls` is set.

    Attributes:
        host: host name or address of the broker.
        port: TCP port of the broker.
        client_id: MQTT client id; empty for the program's own. No other client may have it.
        protocol: version of MQTT; `auto` tries 5 first, then 3.1.1.
        username: user name for the broker; None without one.
        password_file: file with the password, whose surrounding white space is ignored.
        tls: whether to use TLS with the certificate authorities of the system.
        ca_file: file with the certificate authorities to trust, in PEM; it turns TLS on.
        cert_file: file with the client certificate, in PEM; None without one.
        key_file: file with the key of `cert_file`, in PEM and without a password.
        keepalive_s: seconds of silence after which the broker takes the program for lost, times 1.5
            (MQTT 5, 3.1.2.10).
        connect_timeout_s: seconds that connecting, and then the handshake, may take.
        reconnect_max_s: longest wait between two attempts to connect, seconds.
    """

    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Port = 1883
    client_id: Annotated[str, Field(max_length=128)] = ""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    username: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    connect_timeout_s: Seconds = 15.0
    reconnect_max_s: Seconds = 60.0

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if self.password_file and not self.username:
            raise ValueError("password_file is set, but username is not: set both, or neither")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file must be set both, or neither")
        if self.cert_file and not self.uses_tls:
            raise ValueError("cert_file needs TLS: set tls = true, or ca_file")
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or self.ca_file is not None
