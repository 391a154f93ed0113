"""Sends an answer: whole, or part by part until it ends or the client is gone."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from server.http.answer import NOT_MODIFIED, Answer, Parts
from server.http.request import Receive
from serving import log

Send = Callable[[Any], Awaitable[None]]


async def send_answer(answer: Answer, receive: Receive, send: Send) -> None:
    """Send an answer.

    Args:
        answer: the answer. Parts are told when no more of them is asked for.
        receive: ASGI's function of this name.
        send: ASGI's function of this name.
    """
    parts = answer.parts
    if parts is None:
        await _begin(answer, send, len(answer.body))
        await send({"type": "http.response.body", "body": answer.body})
        return
    try:
        await _begin(answer, send, None)
        await _send_parts(parts, receive, send)
    finally:
        await parts.aclose()


async def _begin(answer: Answer, send: Send, length: int | None) -> None:
    headers = [(b"content-type", answer.content_type), *answer.headers]
    # Without a body there, its length would be that of the body which is left out.
    if length is not None and answer.status != NOT_MODIFIED:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


async def _send_parts(parts: Parts, receive: Receive, send: Send) -> None:
    sending = asyncio.ensure_future(_send_each(parts, send))
    leaving = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and (bug := sending.exception()):
            log.warning("stream failed by a bug", trace="".join(traceback.format_exception(bug)))
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _send_each(parts: Parts, send: Send) -> None:
    """Send one part after the other; the next is made once the client has taken the last."""
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
