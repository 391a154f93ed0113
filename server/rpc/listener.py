"""The port of gRPC: what it lets in, and how long a stop waits for calls under way."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc

from server.access.guard import Guard
from server.access.settings import Access, Scope
from server.http.tally import Tally
from server.oip.reasons import ReasonsOutput
from server.rpc import open_inference_pb2 as messages
from server.rpc.answering import Answering, Method
from server.rpc.calls import Calls
from server.rpc.inbox import Inbox
from server.settings import Settings
from server.streams.served import ServedStreams
from serving import log
from serving.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LAST_S: Final = 5.0  # for refusals to be sent on a busy machine, once the time for a stop is over
_NO_COMPRESSION: Final = 1 << grpc.Compression.NoCompression
SERVICE: Final = "inference.GRPCInferenceService"


class RpcListener:
    """Answers calls of the Open Inference Protocol.

    Args:
        settings: the configuration, which has a section `[grpc]`.
        served: the streams that are served.
        guard: knows who may ask what.
        tally: counts calls together with requests over HTTP.
    """

    def __init__(
        self, settings: Settings, served: ServedStreams, guard: Guard, tally: Tally
    ) -> None:
        self._settings, self._served = settings, served
        assert settings.grpc is not None  # noqa: S101  the composition root makes none without it
        self._own = settings.grpc
        inbox = Inbox(self._own, settings.limits.client_s)
        self._answering = Answering(guard, tally, inbox)
        self._server: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            TransientError: the address is in use, or not there.
        """
        limits, own = self._settings.limits, self._own
        options = (
            ("grpc.max_receive_message_length", own.max_message_bytes),
            ("grpc.max_metadata_size", limits.max_header_bytes),
            ("grpc.max_concurrent_streams", own.max_streams),
            ("grpc.max_allowed_incoming_connections", own.max_connections),
            ("grpc.max_connection_idle_ms", round(limits.idle_s * 1000)),
            ("grpc.server_handshake_timeout_ms", round(limits.client_s * 1000)),
            ("grpc.so_reuseport", 0),
            # grpcio 1.67 inflates a message before it compares its length with the limit.
            ("grpc.compression_enabled_algorithms_bitset", _NO_COMPRESSION),
        )
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((self._handler(),))
        host = self._settings.server.host
        address = f"[{host}]:{own.port}" if ":" in host else f"{host}:{own.port}"
        try:
            port = self._listen(address)
        except RuntimeError as exc:
            raise TransientError(
                f"server.host and grpc.port: {address} cannot be listened on; it may be in use"
            ) from exc
        await self._server.start()
        self._loop = asyncio.get_running_loop()
        log.info("gRPC listens", address=address.rpartition(":")[0] + f":{port}")

    def stop(self) -> None:
        """Accept no more calls; those under way are answered. May be called by a signal handler."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._begin_stop)

    async def ended(self) -> None:
        """Wait until the calls under way are answered, or the time for a stop is over."""
        if self._server is not None:
            self._begin_stop()
        if self._stop is not None:
            await self._stop

    def _begin_stop(self) -> None:
        if self._stop is None:
            self._stop = asyncio.ensure_future(self._stopped())

    async def _stopped(self) -> None:
        limit_s = self._settings.limits.stop_s
        over = asyncio.get_running_loop().call_later(limit_s, self._answering.cancel)
        await self._server.stop(limit_s + _LAST_S)
        over.cancel()

    def _listen(self, address: str) -> int:
        access = self._settings.access
        port: int
        if access.cert_file is None or access.key_file is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, _credentials(access))
        return port

    def _handler(self) -> grpc.GenericRpcHandler:
        settings, served = self._settings, self._served
        most, longest_s = settings.predict.max_explained, settings.limits.request_s
        calls = Calls(served, ReasonsOutput(served, most, longest_s))
        table: tuple[tuple[str, Scope | None, Callable[..., Awaitable[Any]]], ...] = (
            ("ServerLive", None, calls.live),
            ("ServerReady", None, calls.ready),
            ("ModelReady", "read", calls.model_ready),
            ("ServerMetadata", "read", calls.metadata),
            ("ModelMetadata", "read", calls.model_metadata),
            ("ModelInfer", "infer", calls.infer),
        )
        # On the wire a stream of one message is the same as one message; but it is not read before
        # the call is let in, and is bytes until it is known whether there is room for it.
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(
                self._answering.wrapped(
                    Method(f"/{SERVICE}/{name}", scope, getattr(messages, f"{name}Request"), call)
                ),
                response_serializer=getattr(messages, f"{name}Response").SerializeToString,
            )
            for name, scope, call in table
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)


def _credentials(access: Access) -> grpc.ServerCredentials:
    """The certificate of HTTP, read again for each connection, so that a renewed one is used."""
    authorities = access.client_ca_file.read_bytes() if access.client_ca_file else None
    is_required = authorities is not None and access.client_certificate == "required"

    def configuration() -> grpc.ServerCertificateConfiguration:
        pair = (_content(access.key_file), _content(access.cert_file))
        return grpc.ssl_server_certificate_configuration([pair], authorities)

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        try:
            return configuration()
        except OSError:
            return None  # what was read before stays in use

    return grpc.dynamic_ssl_server_credentials(configuration(), renewed, is_required)


def _content(path: Path | None) -> bytes:
    return path.read_bytes() if path is not None else b""
