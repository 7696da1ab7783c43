"""What a request asks for, read from its parameters: each checked, unknown ones refused."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.errors import UsageError
from query.bitmap import parse_digits
from query.finder import MISSED
from query.metrics import METRICS, CostTable, cost_table
from query.shrink import FITS

MOST_MATCHES = 1000
MOST_DIGITS = 10_000
# What stands for a parameter of `find` that is not given; said by `info` and the document too.
DEFAULTS = {"metric": "l1", "top": 10, "distinct": False, "exact": False, "missed": MISSED}
_DEFAULT_TEXTS = {name: str(value).lower() for name, value in DEFAULTS.items()}
_LONGEST = 200

Parameters = Mapping[str, str]


def _flag(name: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise UsageError(f"{name} is {text[:40]!r}; it must be true or false")
    return text == "true"


def _whole(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= 16):
            raise UsageError(f"{name} is {text[:40]!r}; it must be a whole number")
        number = int(text)
        if not low <= number <= high:
            raise UsageError(f"{name} is {number}; allowed are {low} to {high:,}")
        return number

    return read


def _positive(name: str, text: str) -> float:
    try:
        number = float(text) if len(text) <= 40 else math.nan
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UsageError(f"{name} is {text[:40]!r}; it must be a number above 0")
    return number


def _one_of(choices: tuple[str, ...]) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in choices:
            raise UsageError(f"{name} is {text[:40]!r}; choose one of {', '.join(choices)}")
        return text

    return read


def _text(name: str, text: str) -> str:
    if len(text) > _LONGEST:
        raise UsageError(f"{name} has {len(text)} characters; allowed are {_LONGEST}")
    return "".join(c if c.isprintable() else " " for c in text)


def _bitmap(name: str, text: str) -> NDArray[np.uint8]:
    if len(text) > _LONGEST:
        raise UsageError(f"{name} has {len(text)} characters; 84 digits are needed")
    return parse_digits(text)


def read_parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters by name; UsageError where one is given more than once."""
    parameters: dict[str, str] = {}
    for name, text in pairs:
        if name in parameters:
            raise UsageError(f"{name[:40]!r} is given more than once")
        parameters[name] = text
    return parameters


def _check_names(parameters: Parameters, allowed: tuple[str, ...], *needed: str) -> None:
    for name in parameters:
        if name not in allowed:
            raise UsageError(f"{name[:40]!r} is no parameter here; {', '.join(allowed)} are")
    for name in needed:
        if name not in parameters:
            raise UsageError(f"{name} is missing")


@dataclass(frozen=True, eq=False)
class Question:
    """What `find` and `sheet` are asked; the fields are the options of `pilogo find`."""

    bitmap: NDArray[np.uint8]
    table: CostTable
    top: int
    distinct: bool
    exact: bool
    missed: float
    logo: str

    NAMES = ("bitmap", "metric", "top", "distinct", "exact", "missed", "logo")

    @classmethod
    def read(cls, parameters: Parameters) -> "Question":
        """The question; UsageError or LogoError for what is no question."""
        _check_names(parameters, cls.NAMES, "bitmap")
        bitmap = _bitmap("bitmap", parameters["bitmap"])
        texts = {**_DEFAULT_TEXTS, **parameters}
        return cls(
            bitmap=bitmap,
            table=cost_table(bitmap, _one_of(METRICS)("metric", texts["metric"])),
            top=_whole(1, MOST_MATCHES)("top", texts["top"]),
            distinct=_flag("distinct", texts["distinct"]),
            exact=_flag("exact", texts["exact"]),
            missed=_positive("missed", texts["missed"]),
            logo=_text("logo", parameters.get("logo", "")),
        )


@dataclass(frozen=True)
class Reading:
    """How a picture is to become a bitmap; the fields are the options of `pilogo bitmap`."""

    fit: str
    invert: bool
    trim: bool
    name: str

    NAMES = ("fit", "invert", "trim", "name")

    @classmethod
    def read(cls, parameters: Parameters) -> "Reading":
        """The options; UsageError where one is wrong."""
        _check_names(parameters, cls.NAMES)
        return cls(
            fit=_one_of(FITS)("fit", parameters.get("fit", "pad")),
            invert=_flag("invert", parameters.get("invert", "false")),
            trim=_flag("trim", parameters.get("trim", "true")),
            name=_text("name", parameters.get("name", "")) or "the picture",
        )


@dataclass(frozen=True, eq=False)
class OddsQuestion:
    """A bitmap, its cost table, and a distance whose need of decimals is asked for."""

    bitmap: NDArray[np.uint8]
    table: CostTable
    distances: tuple[float, ...]
    logo: str

    NAMES = ("bitmap", "metric", "distance", "logo")

    @classmethod
    def read(cls, parameters: Parameters) -> "OddsQuestion":
        """The question; UsageError or LogoError for what is no question."""
        _check_names(parameters, cls.NAMES, "bitmap")
        bitmap = _bitmap("bitmap", parameters["bitmap"])
        metric = _one_of(METRICS)("metric", parameters.get("metric", _DEFAULT_TEXTS["metric"]))
        distance = parameters.get("distance")
        return cls(
            bitmap=bitmap,
            table=cost_table(bitmap, metric),
            distances=(_positive("distance", distance),) if distance is not None else (),
            logo=_text("logo", parameters.get("logo", "")),
        )


def read_stretch(parameters: Parameters, first: int, n: int) -> tuple[int, int]:
    """(offset, length) of a stretch of n decimals from an offset on, cut at their end."""
    _check_names(parameters, ("offset", "length"), "offset")
    offset = _whole(first, first + n - 1)("offset", parameters["offset"])
    length = _whole(1, MOST_DIGITS)("length", parameters.get("length", "84"))
    return offset, min(length, first + n - offset)
