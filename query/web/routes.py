"""The addresses of the API and of the page, and what each answers."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from http import HTTPStatus
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from indexer.errors import LogoError, PilogoError, StoreError, UsageError
from indexer.packaged import data_file
from indexer.progress import Progress
from indexer.window import HEIGHT, WIDTH
from query.answer import Odds
from query.bitmap import format_digits, logo_from_bytes
from query.finder import Finder
from query.metrics import METRICS
from query.odds import compute_odds
from query.palette import GREYS
from query.plot import draw_odds
from query.report import bitmap_json, format_json, odds_json
from query.sheet import draw_sheet
from query.shrink import FITS
from query.web.guard import Guard, problem
from query.web.openapi import document
from query.web.questions import (
    DEFAULTS,
    MOST_DIGITS,
    MOST_MATCHES,
    OddsQuestion,
    Question,
    Reading,
    read_parameters,
    read_stretch,
)
from query.web.worker import Abandoned, Busy, Job, Worker

if TYPE_CHECKING:
    from query.answer import Answer

Result = TypeVar("Result")

MOST_UPLOAD = 16_000_000
_UPLOAD_SECONDS = 20.0
_WORK_SECONDS = 120.0
_MOST_WAITING = 32
_TICK = 0.1
_PAGE = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class _Gone(Exception):
    """The client has closed its connection; there is nobody to answer."""


class Api:
    """The routes over one finder; all work is done by one worker, in the order it came."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._worker = Worker(_MOST_WAITING, _WORK_SECONDS)
        self._files = {
            path.name: (path.read_bytes(), _TYPES[path.suffix])
            for path in _PAGE.iterdir()
            if path.suffix in _TYPES
        }

    def routes(self) -> list[Route]:
        """Every address; a file of the page is served by its whole name, nothing else is a file."""
        api = [
            ("info", self._info, "GET"),
            ("bitmap", self._bitmap, "POST"),
            ("find", self._find, "GET"),
            ("sheet", self._sheet, "GET"),
            ("odds", self._odds, "GET"),
            ("odds.png", self._odds_plot, "GET"),
            ("digits", self._digits, "GET"),
            ("openapi.json", self._openapi, "GET"),
        ]
        return [
            *(Route(f"/api/v1/{name}", call, methods=[method]) for name, call, method in api),
            Route("/", self._page, methods=["GET"]),
            *(Route(f"/{name}", self._page, methods=["GET"]) for name in self._files),
        ]

    async def _page(self, request: Request) -> Response:
        content, kind = self._files[request.url.path.lstrip("/") or "index.html"]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(document(self._finder.digits, self._finder.first_offset))

    async def _info(self, request: Request) -> Response:
        contest = json.loads(data_file("contest.json").read_text("utf-8"))
        return JSONResponse(
            {
                "version": version("pilogo"),
                "constant": self._finder.constant,
                "digits": self._finder.digits,
                "first_offset": self._finder.first_offset,
                "index": self._finder.has_index,
                "width": WIDTH,
                "height": HEIGHT,
                "greys": list(GREYS),
                "metrics": list(METRICS),
                "fits": list(FITS),
                "most_matches": MOST_MATCHES,
                "most_digits": MOST_DIGITS,
                "most_upload_bytes": MOST_UPLOAD,
                "defaults": DEFAULTS,
                "examples": [{"name": "SoundCloud", "bitmap": contest["bitmap"]}],
            }
        )

    async def _bitmap(self, request: Request) -> Response:
        reading = Reading.read(_parameters(request))
        content = await _read_body(request)

        def work(report: Progress) -> str:
            digits = format_digits(
                logo_from_bytes(
                    content,
                    reading.name,
                    fit=reading.fit,
                    invert=reading.invert,
                    trim=reading.trim,
                )
            )
            return bitmap_json(reading.name, digits)

        return _json(await self._do(request, work))

    async def _find(self, request: Request) -> Response:
        question = Question.read(_parameters(request))
        if "text/event-stream" in request.headers.get("accept", ""):
            job = self._worker.submit(self._finding(question))
            return StreamingResponse(_events(job), media_type="text/event-stream")
        return _json(format_json(await self._do(request, self._finding(question))))

    async def _sheet(self, request: Request) -> Response:
        finding = self._finding(Question.read(_parameters(request)))
        png = await self._do(request, lambda report: _png(draw_sheet(finding(report))))
        return Response(png, media_type="image/png")

    async def _odds(self, request: Request) -> Response:
        question = OddsQuestion.read(_parameters(request))
        return _json(await self._do(request, lambda report: odds_json(_odds(question))))

    async def _odds_plot(self, request: Request) -> Response:
        question = OddsQuestion.read(_parameters(request))
        png = await self._do(request, lambda report: _png(draw_odds(_odds(question))))
        return Response(png, media_type="image/png")

    async def _digits(self, request: Request) -> Response:
        n = self._finder.digits
        offset, length = read_stretch(_parameters(request), self._finder.first_offset, n)
        text = self._finder.read_digits(offset, length)
        head = {"constant": self._finder.constant, "n": n, "offset": offset}
        return JSONResponse({**head, "length": length, "digits": text})

    def _finding(self, question: Question) -> "Callable[[Progress], Answer]":
        def work(report: Progress) -> "Answer":
            return self._finder.find(
                question.bitmap,
                costs=question.table,
                top=question.top,
                distinct=question.distinct,
                exact=question.exact,
                missed=question.missed,
                logo=question.logo,
                progress=report,
            )

        return work

    async def _do(self, request: Request, work: Callable[[Progress], Result]) -> Result:
        """What the work gives; it is abandoned when the client has gone."""
        job = self._worker.submit(work)
        future = asyncio.wrap_future(job.future)
        while not (await asyncio.wait({future}, timeout=_TICK))[0]:
            if await request.is_disconnected():
                job.cancel()
                future.add_done_callback(_forget)
                raise _Gone
        return future.result()

    def close(self) -> None:
        """Begin nothing more."""
        self._worker.close()


def make_app(finder: Finder, names: Iterable[str]) -> Starlette:
    """The page and its API over a finder, for requests to these host names (none: to any)."""
    api = Api(finder)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        api.close()

    return Starlette(
        routes=api.routes(),
        middleware=[Middleware(Guard, names=frozenset(names))],
        exception_handlers={
            **dict.fromkeys((_Gone, ClientDisconnect), _gone),
            **dict.fromkeys((PilogoError, HTTPException, Busy, Abandoned, Exception), _tell),
        },
        lifespan=lifespan,
    )


def _parameters(request: Request) -> dict[str, str]:
    return read_parameters(request.query_params.multi_items())


def _odds(question: OddsQuestion) -> Odds:
    return compute_odds(
        question.bitmap, question.table, distances=question.distances, logo=question.logo
    )


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _png(image: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


async def _read_body(request: Request) -> bytes:
    """The body, of bounded size, within bounded time."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise _cut(415, "send the picture itself as the body, not a form")
    content = bytearray()
    taken = 0
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            async for piece in request.stream():
                taken += len(piece)
                if taken <= MOST_UPLOAD:
                    content += piece
                elif taken > 2 * MOST_UPLOAD:  # who sends a little too much is to hear of it
                    break
    except TimeoutError:
        raise _cut(408, f"the body took longer than {_UPLOAD_SECONDS:g} s") from None
    if taken > MOST_UPLOAD:
        raise _cut(413, f"{MOST_UPLOAD:,} bytes are allowed")
    return bytes(content)


def _cut(status: int, detail: str) -> HTTPException:
    """A refusal after which the connection is closed: the rest of the body is not wanted."""
    return HTTPException(status, detail, {"connection": "close"})


async def _events(job: "Job[Answer]") -> AsyncIterator[str]:
    """Server-sent events: progress while it runs, then answer or problem. Closing cancels it."""
    future = asyncio.wrap_future(job.future)
    try:
        yield _event("progress", {"stage": "wait", "done": 0, "total": 0})
        last = None
        while not (await asyncio.wait({future}, timeout=_TICK))[0]:
            if job.step is not None and job.step != last:
                last = job.step
                told = {"stage": last.stage, "done": last.done, "total": last.total}
                yield _event("progress", told)
        try:
            yield f"event: answer\ndata: {format_json(future.result())}\n\n"
        except Exception as error:  # noqa: BLE001 - told, as any other reply would tell it
            reply = _told(error)
            yield f"event: problem\ndata: {bytes(reply.body).decode()}\n\n"
    finally:
        job.cancel()
        future.add_done_callback(_forget)


def _forget(done: "asyncio.Future[Any]") -> None:
    """Nobody waits for it any more: what it raises is not to be told on the terminal."""
    if not done.cancelled():
        done.exception()


def _event(name: str, body: dict[str, object]) -> str:
    return f"event: {name}\ndata: {json.dumps(body)}\n\n"


def _told(error: Exception) -> JSONResponse:
    """The reply that tells of an error; none of our own paths is in it."""
    if isinstance(error, (Busy, Abandoned)):
        wait = {"retry-after": "1"} if isinstance(error, Busy) else {}
        return problem(503, str(error), **wait)
    if isinstance(error, StoreError):
        sys.stderr.write(f"pilogo: {error}\n")
        return problem(503, "the store cannot answer; the server's terminal says why")
    if isinstance(error, UsageError):
        return problem(400, str(error))
    if isinstance(error, LogoError):
        return problem(422, str(error))
    if isinstance(error, HTTPException):
        detail = error.detail or HTTPStatus(error.status_code).phrase
        return problem(error.status_code, detail, **(error.headers or {}))
    sys.stderr.write(f"pilogo: a bug: {type(error).__name__}: {error}\n")
    return problem(500, "a bug; the server's terminal says more")


async def _tell(request: Request, error: Exception) -> Response:
    return _told(error)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it
