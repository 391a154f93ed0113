"""Which call is given up where too many wait for their messages."""

import asyncio

import pytest

from server.http.refusals import LateError, OverloadError
from server.rpc.arrivals import Arrivals


class Context:
    """What gRPC gives of a call: its peer, and a message that comes once it is sent."""

    def __init__(self, peer: str) -> None:
        self._peer, self._sent = peer, asyncio.Event()

    def peer(self) -> str:
        return self._peer

    def send(self) -> None:
        self._sent.set()

    async def read(self) -> bytes:
        await self._sent.wait()
        return self._peer.encode()


def test_call_of_the_address_with_the_most_is_given_up_and_not_the_one_before() -> None:
    peers = ["ipv4:10.0.0.1:1", "ipv4:10.0.0.2:1", "ipv4:10.0.0.2:2", "ipv4:10.0.0.3:1"]

    async def found() -> list[bytes | BaseException]:
        arrivals, calls, reads = Arrivals(3, client_s=3600.0), [Context(one) for one in peers], []
        for one in calls:
            reads.append(asyncio.create_task(arrivals.read(one)))
            await asyncio.sleep(0)  # until it waits
        await asyncio.wait([reads[1]])
        for one in calls:
            one.send()
        ends: list[bytes | BaseException] = await asyncio.gather(*reads, return_exceptions=True)
        return ends

    first, given_up, second, third = asyncio.run(found())
    assert [first, second, third] == [peers[number].encode() for number in (0, 2, 3)]
    assert isinstance(given_up, OverloadError)
    assert "3 calls may wait for their messages (grpc.max_calls)" in str(given_up)


def test_place_is_free_once_a_message_has_come_or_its_time_is_over() -> None:
    async def found() -> list[bytes]:
        arrivals = Arrivals(1, client_s=0.01)
        with pytest.raises(LateError, match=r"within 0.01 s \(limits.client_s\)"):
            await arrivals.read(Context("ipv4:10.0.0.1:1"))
        calls = [Context(f"ipv4:10.0.0.1:{port}") for port in (2, 3)]
        for one in calls:
            one.send()
        return [await arrivals.read(one) for one in calls]

    assert asyncio.run(found()) == [b"ipv4:10.0.0.1:2", b"ipv4:10.0.0.1:3"]
