"""The studio's routes: the page's own files, and the one WebSocket. `Guard` stands before all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from backquery.studio.files import KINDS, page_files
from backquery.studio.opened import Opened
from backquery.studio.protocol import FRAME_LIMIT
from backquery.studio.visit import Send, Visit

MOST_VISITS = 16
"""Pages that may be open at once."""

LONGEST_SEND = 30.0
"""Seconds that a page may take to receive one answer before it counts as gone."""

TRY_LATER = 1013


def build_app(opened: Opened) -> Starlette:
    """The routes, without the guard."""
    visits: set[Visit] = set()

    async def live(socket: WebSocket) -> None:
        # Accepted first: before that, a page could not be told why it is refused.
        await socket.accept()
        if len(visits) >= MOST_VISITS:
            await socket.close(TRY_LATER, "too many pages are open")
            return
        visit = Visit(opened, _sender(socket))
        visits.add(visit)
        try:
            await _converse(socket, visit)
        finally:
            visits.discard(visit)
            visit.close()

    files = [Route(path, _file(place), methods=["GET"]) for path, place in page_files().items()]
    return Starlette(routes=[*files, WebSocketRoute("/live", live)])


async def _converse(socket: WebSocket, visit: Visit) -> None:
    """Take requests until the page is gone."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None or len(text) > FRAME_LIMIT:
            await socket.close(1003, "requests are text frames")
            return
        visit.take(text)


def _sender(socket: WebSocket) -> Send:
    """How a thread sends: it waits until the frame is on its way, so that a slow page slows its own answers."""
    loop = asyncio.get_running_loop()

    def send(frame: bytes) -> None:
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError, CancelledError):
            asyncio.run_coroutine_threadsafe(socket.send_bytes(frame), loop).result(LONGEST_SEND)

    return send


def _file(place: Path) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        try:
            content = place.read_bytes()
        except OSError:
            return PlainTextResponse("this part of the page is missing; install backquery anew\n", 404)
        return Response(content, media_type=KINDS[place.suffix])

    return serve
