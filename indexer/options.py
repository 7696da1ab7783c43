"""Options that several commands share, each defined once."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS
from indexer.errors import StoreMissing

Command = TypeVar("Command", bound=Callable[..., Any])

_COUNT = re.compile(r"(\d+)(?:\.(\d+))?(?:[eE]\+?(\d{1,2}))?")
_POWER = re.compile(r"10(?:\*\*|\^)(\d{1,2})")
_GROUPED = re.compile(r"\d{1,3}(,\d{3})+|\d{1,3}(_\d{3})+|\d{1,3}( \d{3})+")


if TYPE_CHECKING:
    _IntParam = click.ParamType[int]
else:  # not generic before click 8.4
    _IntParam = click.ParamType


class Count(_IntParam):
    """A whole number as people write it: 1e9, 2.5e8, 10^7, 10**7, 1_000_000, 1,000,000."""

    name = "count"

    def __init__(self, low: int = MIN_DIGITS, high: int = MAX_DIGITS) -> None:
        self._low, self._high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; a usage error that names the range where it is none."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        number = self._parse(text) if len(text) <= 40 else None
        if number is None or not self._low <= number <= self._high:
            self.fail(
                f"{text[:40]!r} is not allowed; a whole number from {self._low:,} to "
                f"{self._high:,} is, written like 1e7, 10^7, 10000000 or 10,000,000",
                param,
                ctx,
            )
        return number

    @staticmethod
    def _parse(text: str) -> int | None:
        if power := _POWER.fullmatch(text):
            return int(10 ** int(power[1]))
        if _GROUPED.fullmatch(text):
            text = re.sub("[,_ ]", "", text)
        match = _COUNT.fullmatch(text)
        if not match or not text.isascii():
            return None
        whole, fraction, exponent = match[1], (match[2] or "").rstrip("0"), int(match[3] or 0)
        if len(fraction) > exponent:
            return None
        return int(int(whole + fraction) * 10 ** (exponent - len(fraction)))


def _read_home(ctx: click.Context, param: click.Parameter, value: str) -> Path:
    from indexer.home import expand_user  # noqa: PLC0415

    if not value:  # it would be the current folder
        raise click.BadParameter("'' is no folder; name one, or leave --home out", ctx, param)
    home = expand_user(value)
    try:
        is_file = home.is_file()
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or error
        shown = value if len(value) <= 60 else f"{value[:60]}…"
        raise StoreMissing(
            f"the home {shown} (--home or PILOGO_HOME) cannot be read: {words}"
        ) from None
    if is_file:
        raise click.BadParameter(
            f"{home} is a file; the home (--home or PILOGO_HOME) must be a folder", ctx, param
        )
    return home


def home_option(command: Command) -> Command:
    """--home DIR, as a Path."""

    def default() -> str:
        from indexer.home import default_home  # noqa: PLC0415

        return str(default_home())

    return click.option(
        "--home",
        metavar="DIR",
        envvar="PILOGO_HOME",
        default=default,
        callback=_read_home,
        show_default="the platform's folder for program data",
        help="Folder of all stores; also PILOGO_HOME.",
    )(command)


def digits_option(command: Command) -> Command:
    """--digits N, an int or None."""
    return click.option(
        "--digits",
        type=Count(),
        default=None,
        metavar="N",
        help="Decimals to use, like 1e9; without it the largest complete store.",
    )(command)


def from_option(command: Command) -> Command:
    """--from OFFSET, an int or None, passed as first_offset."""
    return click.option(
        "--from",
        "first_offset",
        type=Count(1),
        default=None,
        metavar="OFFSET",
        help="The store whose decimals begin at this offset: a part of the number.",
    )(command)


def scheduler_option(command: Command) -> Command:
    """--scheduler ADDRESS, a str or None."""

    def check(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
        if value is None:
            return None
        from indexer.cluster import check_scheduler  # noqa: PLC0415

        return check_scheduler(value)

    return click.option(
        "--scheduler",
        metavar="ADDRESS",
        callback=check,
        help="Work on the workers of a dask scheduler: tcp://HOST:PORT, or local:N for N processes "
        "here.",
    )(command)


def constant_option(command: Command) -> Command:
    """--constant NAME."""
    return click.option(
        "--constant",
        type=click.Choice(list(CONSTANTS)),
        default="pi",
        show_default=True,
        help="The number whose decimals are meant.",
    )(command)


def threads_option(command: Command) -> Command:
    """--threads N, at least 1, by default what this process may run on."""

    def default() -> int:
        from indexer.resources import usable_threads  # noqa: PLC0415

        return usable_threads()

    return click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=default,
        show_default="one for each CPU",
        help="Threads to compute with.",
    )(command)


def progress_option(command: Command) -> Command:
    """--progress/--no-progress, a bool: on where standard error is a terminal."""

    def default() -> bool:
        return sys.stderr.isatty()

    return click.option(
        "--progress/--no-progress",
        default=default,
        show_default="on a terminal",
        help="Show on standard error how far the work is.",
    )(command)


def format_option(command: Command) -> Command:
    """--format table|json|csv, passed as format_."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["table", "json", "csv"]),
        default="table",
        show_default=True,
        help="How results are printed.",
    )(command)
