"""What every request must pass and every reply carries, before and around the routes.

A page of another site can send requests to a server on this machine. So the Host header must be a
name of this server (DNS rebinding), and what is written must come from its own page.
"""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_URL = 8192

_POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:",
    "connect-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def problem(status: int, detail: str, **headers: str) -> JSONResponse:
    """An error as RFC 9457 has it: type, title, status and detail in JSON.

    A header retry-after is repeated in it: in a stream of events there are no headers.
    """
    title = HTTPStatus(status).phrase
    body: dict[str, str | int] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if "retry-after" in headers:
        body["retry_after"] = int(headers["retry-after"])
    return JSONResponse(body, status, headers, media_type="application/problem+json")


class Guard:
    """Refuses requests that are not for this server, and adds headers to every reply.

    names are the host names it answers to; empty: any, for who serves a network.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI calls it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        app: Callable[[Scope, Receive, Send], Awaitable[None]] = refused or self._app
        await app(scope, receive, _adding_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return problem(421, "the Host header does not name this server")
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_URL:
            return problem(414, f"the address is longer than {LONGEST_URL} bytes")
        if scope["method"] not in {"GET", "HEAD"}:
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != hosts[0]:
                return problem(403, "a page of another origin may not write here")
            if headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
                return problem(403, "a page of another site may not write here")
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and (not self._names or name in self._names)


def _adding_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
