"""The server: uvicorn on a socket of ours, with bounds on what a connection may cost."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from query.finder import Finder
from query.web.routes import make_app

_MOST_CONNECTIONS = 128
_LONGEST_HEAD = 32_768
_HEAD_SECONDS = 10


class _TimedProtocol(H11Protocol):
    """HTTP/1.1 that closes connections on which no request is whole for ten seconds."""

    _idle = 0
    _seen: object = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._look()

    def _look(self) -> None:
        """Every second; a head that comes byte by byte is no request yet."""
        cycle: Any = getattr(self, "cycle", None)
        waiting = cycle is None or cycle.response_complete
        self._idle = self._idle + 1 if waiting and cycle is self._seen else 0
        self._seen = cycle
        if self._idle > _HEAD_SECONDS:
            self.transport.close()
        else:
            self._timer = self.loop.call_later(1.0, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)


def serve(finder: Finder, listener: socket.socket, names: Iterable[str]) -> None:
    """Serve until a signal ends it."""
    config = uvicorn.Config(
        make_app(finder, names),
        http=_TimedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",  # what clients do wrong is told to them
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        timeout_keep_alive=_HEAD_SECONDS,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])
