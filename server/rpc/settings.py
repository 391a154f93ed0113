"""The settings of gRPC: `[grpc]`."""

from typing import Annotated

from pydantic import Field

from models.settings import Count, Section


class Grpc(Section):
    """The Open Inference Protocol over gRPC, at `server.host`. Without this section there is none.

    `[access]` holds for it as for HTTP.

    Attributes:
        port: TCP port to listen on; 0 lets the system choose one, which the log names.
        max_message_bytes: bytes of a request; a longer one is refused.
        max_messages_bytes: bytes of the requests of all calls under way; beyond, one of more than
            64 KiB is refused. Those that are still arriving are bounded by `max_calls` and
            `max_message_bytes` alone.
        max_calls: calls that are answered at a time; further ones are refused. As many more may
            wait for their requests to arrive; then a further one takes the place of the one that
            has waited for the longest at the address that has the most of them.
        max_streams: calls of one connection at a time; further ones wait at the client.
        max_connections: connections at a time; further ones are closed.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 8471
    max_message_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 4 << 20
    max_messages_bytes: Annotated[int, Field(ge=1024, le=1 << 31)] = 64 << 20
    max_calls: Count = 64
    max_streams: Count = 64
    max_connections: Count = 256
