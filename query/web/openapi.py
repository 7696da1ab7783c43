"""The API's OpenAPI document: every address, parameter and reply."""

from functools import cache
from importlib.metadata import version
from typing import Any

from indexer.window import WINDOW
from query.metrics import METRICS
from query.shrink import FITS
from query.web.questions import DEFAULTS, MOST_DIGITS, MOST_MATCHES

_DIGITS = {"type": "string", "pattern": f"^[0-9]{{{WINDOW}}}$"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _query(name: str, schema: dict[str, Any], text: str, *, needed: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": needed,
        "description": text,
        "schema": schema,
    }


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": schema}}


_PROBLEM = _object(
    type={"type": "string"},
    title={"type": "string"},
    status={"type": "integer"},
    detail={"type": "string"},
)
_PROBLEM["properties"]["retry_after"] = {
    **_COUNT,
    "description": "seconds, as in the header Retry-After, where asking again may help",
}
_MATCH = _object(rank=_COUNT, offset=_COUNT, distance=_NUMBER, expected=_NUMBER, sequence=_DIGITS)
_ANSWER = _object(
    logo={"type": "string"},
    bitmap=_DIGITS,
    metric={"enum": list(METRICS)},
    constant={"type": "string"},
    digits=_COUNT,
    mode={"enum": ["index", "scan"]},
    certified={"type": "boolean"},
    expected_missed=_NUMBER,
    seconds=_NUMBER,
    matches=_list(_MATCH),
)
_ANSWER["properties"] |= {
    "first_offset": {**_COUNT, "description": "where the decimals begin, if not at 1"},
    "uncovered": {
        **_list(_list(_COUNT)),
        "description": "first and last offsets of windows that could not be reached, if any",
    },
}
_INFO = _object(
    version={"type": "string"},
    constant={"type": "string"},
    digits=_COUNT,
    first_offset=_COUNT,
    index={"type": "boolean"},
    width=_COUNT,
    height=_COUNT,
    greys=_list(_COUNT),
    metrics=_list({"type": "string"}),
    fits=_list({"type": "string"}),
    most_matches=_COUNT,
    most_digits=_COUNT,
    most_upload_bytes=_COUNT,
    defaults=_object(
        metric={"enum": list(METRICS)}, top=_COUNT, distinct=_FLAG, exact=_FLAG, missed=_NUMBER
    ),
    examples=_list(_object(name={"type": "string"}, bitmap=_DIGITS)),
)
_ODDS = _object(
    logo={"type": "string"},
    bitmap=_DIGITS,
    metric={"enum": list(METRICS)},
    odds=_list(_object(digits=_COUNT, best=_NUMBER, tenth=_NUMBER)),
    needed=_list(_object(distance=_NUMBER, log10_digits=_NUMBER)),
)
_BITMAP = _object(logo={"type": "string"}, bitmap=_DIGITS)
_STRETCH = _object(
    constant={"type": "string"},
    n=_COUNT,
    offset=_COUNT,
    length=_COUNT,
    digits={"type": "string", "pattern": "^[0-9]+$"},
)

_REFERENCE = [
    _query("bitmap", _DIGITS, "14x6 digits, row by row from the top left, 0 white to 9 black",
           needed=True),
    _query("metric", {"enum": list(METRICS), "default": DEFAULTS["metric"]}, "what a distance is"),
    _query("logo", {"type": "string", "maxLength": 200}, "a name that the answer repeats"),
]  # fmt: skip
_QUESTION = [
    *_REFERENCE,
    _query("top", {"type": "integer", "minimum": 1, "maximum": MOST_MATCHES,
                   "default": DEFAULTS["top"]}, "how many matches"),
    _query("distinct", {**_FLAG, "default": DEFAULTS["distinct"]},
           "drop matches that overlap a closer one"),
    _query("exact", {**_FLAG, "default": DEFAULTS["exact"]},
           "compare every window: the answer is certified"),
    _query("missed", {"type": "number", "exclusiveMinimum": 0, "default": DEFAULTS["missed"]},
           "how many of the top an answer from the index may be expected to lack"),
]  # fmt: skip
_READING = [
    _query("fit", {"enum": list(FITS), "default": "pad"}, "how another shape becomes 14x6"),
    _query("invert", {**_FLAG, "default": False}, "swap light and dark"),
    _query("trim", {**_FLAG, "default": True}, "cut a border of one colour"),
    _query("name", {"type": "string", "maxLength": 200}, "what messages call the picture"),
]
_DISTANCE = _query("distance", {"type": "number", "exclusiveMinimum": 0},
                   "also say how many decimals this distance needs")  # fmt: skip


def _place(n: int, first: int) -> list[dict[str, Any]]:
    offset = {"type": "integer", "minimum": first, "maximum": first + n - 1}
    length = {"type": "integer", "minimum": 1, "maximum": MOST_DIGITS, "default": WINDOW}
    return [
        _query("offset", offset, "1 is the first decimal", needed=True),
        _query("length", length, "how many decimals, cut at the last there is"),
    ]


_ANYWHERE = (414, 421, 503)


def _operation(
    summary: str,
    parameters: list[dict[str, Any]],
    reply: dict[str, Any],
    *refusals: int,
) -> dict[str, Any]:
    texts = {
        400: "a parameter is wrong",
        403: "a page of another site asked",
        408: "the body came too slowly",
        413: "too large",
        414: "the address is too long",
        415: "a form where the picture itself is wanted",
        421: "the Host header does not name this server",
        422: "a bitmap or picture that cannot be read",
        503: "busy, or the store cannot answer",
    }
    problems = {
        str(status): {
            "description": texts[status],
            "content": _content("application/problem+json", _PROBLEM),
        }
        for status in (*refusals, *_ANYWHERE)
    }
    problems["503"]["headers"] = {
        "Retry-After": {
            "description": "after how many seconds to ask again; none where that does not help",
            "schema": _COUNT,
        }
    }
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": {"description": "done", "content": reply}, **problems},
    }


@cache
def document(n: int, first: int = 1) -> dict[str, Any]:
    """The document, as JSON has it, for a server of n decimals from an offset on."""
    json = "application/json"
    png = _content("image/png", {"type": "string", "contentMediaType": "image/png"})
    find = _operation("The closest windows", _QUESTION, _content(json, _ANSWER), 400, 422)
    find["description"] = (
        "With `Accept: text/event-stream` events `progress` (stage, done, total), then `answer` "
        "(as in JSON) or `problem` (as in the replies of errors); to close the connection cancels "
        "the search."
    )
    find["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    bitmap = _operation(
        "What a picture becomes", _READING, _content(json, _BITMAP), 400, 403, 408, 413, 415, 422
    )
    bitmap["requestBody"] = {
        "required": True,
        "description": "PNG, JPEG, GIF, BMP, WebP, TIFF, SVG, or a text of 84 digits",
        "content": _content("application/octet-stream", {"type": "string", "format": "binary"}),
    }
    gets = {
        "info": _operation("What is searched, and within which bounds", [], _content(json, _INFO)),
        "find": find,
        "sheet": _operation("The answer as a contact sheet", _QUESTION, png, 400, 422),
        "odds": _operation(
            "How close a match to expect", [*_REFERENCE, _DISTANCE], _content(json, _ODDS), 400, 422
        ),
        "odds.png": _operation("The odds, drawn", [*_REFERENCE, _DISTANCE], png, 400, 422),
        "digits": _operation("Decimals", _place(n, first), _content(json, _STRETCH), 400),
        "openapi.json": _operation("This document", [], _content(json, {"type": "object"})),
    }
    paths = {f"/api/v1/{name}": {"get": operation} for name, operation in gets.items()}
    paths["/api/v1/bitmap"] = {"post": bitmap}
    return {
        "openapi": "3.1.0",
        "info": {"title": "pilogo", "version": version("pilogo")},
        "paths": paths,
    }
