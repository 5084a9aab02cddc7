"""Who may talk to the studio: only the browser that was given the launch link, from the studio's own page.

Everything is refused unless each of these holds, whatever route is asked for:

- the Host header is exactly the studio's address and port (a name that was bound anew to 127.0.0.1 is not);
- an Origin header, which a WebSocket must have, is exactly the studio's own; ``null`` is not;
- the method is GET or HEAD (all that is asked for travels over the WebSocket);
- the cookie is there. It is set in exchange for the token in the launch link, which is good for one exchange.
"""

from __future__ import annotations

import re
import secrets
from hmac import compare_digest
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECRET_BYTES = 32

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

REFUSED = 1008
"""A WebSocket's code for what the server's rules do not allow."""

ASK_FOR_LINK = "open the studio by the link that it printed when it was started; a link can be used once"


class Guard:
    """An ASGI application in front of another one, which sees only what may come in.

    `authority` is the one Host that is served, such as ``127.0.0.1:8000``.
    """

    def __init__(self, app: ASGIApp, authority: str) -> None:
        self._app = app
        self._authority = authority
        self._secret = secrets.token_urlsafe(SECRET_BYTES)
        self._tokens: set[str] = set()
        # Cookies do not tell ports apart, so their names do.
        self._cookie = "backquery-" + re.sub(r"\W", "-", authority)

    def link(self) -> str:
        """A launch link, good for one visit to it; what it is exchanged for lasts as long as the studio."""
        token = secrets.token_urlsafe(SECRET_BYTES)
        self._tokens.add(token)
        return f"http://{self._authority}/?token={token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            # By the close that a handshake knows, which servers answer with 403: no page reads more of it, and to
            # uvicorn a handshake that an answer ends is one that was never completed.
            await send({"type": "websocket.close", "code": REFUSED})
        else:
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered instead, or None for what may come in."""
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        # The whole list: of two Host headers, each program may believe another one.
        if headers.getlist("host") != [self._authority]:
            return _refused("this address is not served")
        if origins not in ([f"http://{self._authority}"], [] if scope["type"] == "http" else None):
            return _refused("only the studio's own page may ask")
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only GET and HEAD\n", 405, {"Allow": "GET, HEAD"})
        if self._knows(headers):
            return RedirectResponse("/", 303) if _token(scope) else None
        return self._exchange(scope, headers)

    def _knows(self, headers: Headers) -> bool:
        """Whether the cookie is there."""
        cookies = cookie_parser("; ".join(headers.getlist("cookie")))
        return _same(cookies.get(self._cookie, ""), self._secret)

    def _exchange(self, scope: Scope, headers: Headers) -> Response:
        """The cookie for the token of a launch link, once."""
        given = _token(scope)
        token = next((token for token in self._tokens if _same(given, token)), None)
        if token is None or scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            return _refused(ASK_FOR_LINK)
        self._tokens.discard(token)
        # A browser does not send a strict cookie along a redirect that another site's page has begun.
        elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        answer = Response("", headers={"Refresh": "0; url=/"}, media_type="text/html") if elsewhere else None
        answer = answer or RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._secret, path="/", httponly=True, samesite="strict")
        return answer


def _refused(reason: str) -> Response:
    return PlainTextResponse(reason + "\n", 403)


def _token(scope: Scope) -> str:
    """The token in the address, or nothing."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), separator="&")
    return dict(pairs).get("token", "") if scope["path"] == "/" else ""


def _same(given: str, secret: str) -> bool:
    """Compared in a time that does not tell how much of it is right."""
    return compare_digest(given.encode(), secret.encode())


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
