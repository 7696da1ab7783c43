"""Options and progress that both CLIs share, and the command group `digits`.

Errors are raised, never caught: query/cli.py turns them into one line and an exit code.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS
from indexer.meter import draw_progress
from indexer.progress import Progress
from indexer.rows import format_rows

if TYPE_CHECKING:
    from indexer.digits import DigitStore, SurveyedStore
    from indexer.proof import Findings

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
                f"{text[:40]!r} is not allowed; a whole number from {self._low} to "
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
    if home.is_file():
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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def digits() -> None:
    """Make, import and prove the decimals that are searched.

    A store is a folder HOME/<constant>-<n> with the decimals as plain text and a manifest.

    \b
    Examples:
      pilogo digits compute 1e7
      pilogo digits import pi-billion.txt --in-place
      pilogo digits check
      pilogo digits info --format json
    """


def _duration(seconds: float) -> str:
    """Seconds for a person, in the unit that gives a small number."""
    hours = seconds / 3600
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 6000:
        return f"{round(seconds / 60)} minutes"
    if hours < 48:
        return f"{hours:.1f} hours"
    days = hours / 24
    return f"{days:,.0f} days" if days < 730 else f"{days / 365.25:,.1f} years"


@digits.command()
@click.argument("n", type=Count())
@constant_option
@home_option
@threads_option
@click.option("--replace", is_flag=True, help="Make it again where it is there.")
@progress_option
def compute(n: int, constant: str, home: Path, threads: int, replace: bool, progress: bool) -> None:
    """Compute N decimals of a constant.

    Says first how long it will take and how much memory and disk; keeps the decimals as a store
    and prints its folder. A store that is there is kept.

    \b
    Examples:
      pilogo digits compute 1e7
      pilogo digits compute 1e9 --threads 2
      pilogo digits compute 1e6 --constant sqrt2
    """
    from indexer.compute import compute_digits, plan_compute  # noqa: PLC0415 - imports NumPy
    from indexer.digits import find_store  # noqa: PLC0415
    from indexer.resources import gigabytes  # noqa: PLC0415

    there = None if replace else find_store(home, constant, n)
    if there:
        click.echo("the store is complete and kept (--replace makes it again)", err=True)
        click.echo(there.folder)
        return
    plan = plan_compute(n, constant, threads)
    click.echo(
        f"{n:,} decimals of {constant}, {threads} threads: about {_duration(plan.seconds)}, "
        f"{gigabytes(plan.memory_bytes)} of memory, {gigabytes(plan.disk_bytes)} of disk",
        err=True,
    )
    with draw_progress(progress) as report:
        store = compute_digits(home, n, constant, threads=threads, progress=report, replace=replace)
    click.echo(f"done in {store.made.get('seconds', 0)} s", err=True)
    click.echo(store.folder)


@digits.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@constant_option
@home_option
@click.option("--first", type=Count(), metavar="N", help="Import only the first N decimals.")
@click.option("--in-place", is_flag=True, help="Use the file where it is; it must stay there.")
@click.option("--replace", is_flag=True, help="Put it in place of a store of as many decimals.")
@progress_option
def import_(  # noqa: PLR0913, PLR0917 - one parameter an option, as click wants it
    file: Path,
    constant: str,
    home: Path,
    first: int | None,
    in_place: bool,
    replace: bool,
    progress: bool,
) -> None:
    """Import the decimals in FILE.

    FILE is a text, as it is or in a zip, gz, zst, xz or bz2. It may begin with "3." or not, may
    have line breaks, groups and a counter on every line; anything else is refused. Known values
    are compared, and how far they reach is said. Prints the store's folder.

    \b
    Examples:
      pilogo digits import pi-billion.txt
      pilogo digits import pi-billion.txt --in-place
      pilogo digits import pi1000000.zip --first 1e6
    """
    from indexer.digits import list_stores  # noqa: PLC0415 - imports NumPy
    from indexer.proof import reach_note  # noqa: PLC0415
    from indexer.sources import ImportOptions, import_digits  # noqa: PLC0415

    before = {store.folder for store in list_stores(home)}
    options = ImportOptions(constant, first, in_place, replace)
    with draw_progress(progress) as report:
        store = import_digits(home, file, options, progress=report)
    kept = store.folder in before and not replace
    what = "the store is complete and kept (--replace takes the file)" if kept else "imported"
    click.echo(f"{store.n:,} decimals of {constant}: {what}", err=True)
    if note := reach_note(constant, store.n, home):
        click.echo(note, err=True)
    click.echo(store.folder)


def _recomputer(
    entries: "list[SurveyedStore]", threads: int, report: Progress
) -> "Callable[[DigitStore], int]":
    """What computes a store's hash again, after the plan of each has been named and allowed."""
    from indexer.compute import recompute_hash, require_recompute  # noqa: PLC0415
    from indexer.resources import gigabytes  # noqa: PLC0415

    for entry in (entry for entry in entries if entry.store):
        plan = require_recompute(entry.n, entry.constant, threads)
        click.echo(
            f"computing {entry.n:,} decimals of {entry.constant} again, {threads} threads: "
            f"about {_duration(plan.seconds)}, {gigabytes(plan.memory_bytes)} of memory",
            err=True,
        )
    return lambda store: recompute_hash(store, threads, report)


def _report_damaged(findings: "Findings") -> None:
    for _, damage in findings.damaged:
        click.echo(f"damaged: {damage}", err=True)


@digits.command()
@click.option("--digits", type=Count(), metavar="N",
              help="Only the smallest store of at least N decimals; without it every store of the "
              "constant.")  # fmt: skip
@constant_option
@home_option
@click.option("--recompute", is_flag=True,
              help="Compute the constant again and compare: proves every decimal.")  # fmt: skip
@threads_option
@format_option
@progress_option
def check(  # noqa: PLR0913, PLR0917 - one parameter an option, as click wants it
    digits: int | None,
    constant: str,
    home: Path,
    recompute: bool,
    threads: int,
    format_: str,
    progress: bool,
) -> None:
    """Prove stores: every byte, every claim.

    Reads the decimals again and compares them with the manifest and with known values, and says
    how far those reach: where they end before the decimals do, ok is "-" (null in JSON), and
    --recompute proves the rest. Exit code 1 where a claim does not hold, 4 where a store cannot
    be read.

    \b
    Examples:
      pilogo digits check
      pilogo digits check --digits 1e9 --format json
      pilogo digits check --constant e --recompute
    """
    from indexer.proof import (  # noqa: PLC0415 - imports NumPy
        CLAIM_COLUMNS,
        check_stores,
        shorten_claims,
        stores_to_check,
    )

    entries = stores_to_check(home, digits, constant)
    with draw_progress(progress) as report:
        again = _recomputer(entries, threads, report) if recompute else None
        findings = check_stores(entries, again, report)
    rows = shorten_claims(findings.rows) if format_ == "table" else findings.rows
    click.echo(format_rows(rows, CLAIM_COLUMNS, format_))
    _report_damaged(findings)
    for note in findings.notes:
        click.echo(note, err=True)
    findings.raise_damaged(len(entries))
    findings.raise_failed(home)


@digits.command()
@home_option
@format_option
def info(home: Path, format_: str) -> None:
    """List the stores in the home folder.

    Shows for each one which decimals it has, how many bytes, where, how it was made, and whether
    manifest and file are there and fit each other (`pilogo digits check` reads every byte). Exit
    code 4 where one is damaged.

    \b
    Examples:
      pilogo digits info
      pilogo digits info --home /data/pilogo --format csv
    """
    from indexer.proof import INFO_COLUMNS, describe_stores  # noqa: PLC0415 - imports NumPy

    findings = describe_stores(home)
    if not findings.rows and format_ == "table":
        click.echo(f"no store in {home}; next: pilogo digits compute 1e7", err=True)
        return
    click.echo(format_rows(findings.rows, INFO_COLUMNS, format_))
    _report_damaged(findings)
    findings.raise_damaged(len(findings.rows))
