"""Options and progress that both CLIs share, and the command group `digits`.

Errors are raised, never caught: query/cli.py turns them into one line and an exit code.
"""

import csv
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS
from indexer.errors import ClaimFailed
from indexer.meter import draw_progress

if TYPE_CHECKING:
    from indexer.digits import DigitStore
    from indexer.known import Claim

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


def home_option(command: Command) -> Command:
    """--home DIR, as a Path."""

    def default() -> Path:
        from indexer.digits import default_home  # noqa: PLC0415 - imports NumPy

        return default_home()

    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="PILOGO_HOME",
        default=default,
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


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], format_: str) -> None:
    """Rows on standard output: a table, one JSON array, or CSV; every row has every column."""
    if format_ == "json":
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    if format_ == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row[name] for name in columns] for row in rows)
        return
    table = [list(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:,}" if isinstance(value, int) else str(value)


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
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


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
        click.echo(f"{there.folder} is complete and kept (--replace makes it again)", err=True)
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
    click.echo(f"{store.folder}: {store.made.get('seconds', 0)} s", err=True)
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
    are compared. Prints the store's folder.

    \b
    Examples:
      pilogo digits import pi-billion.txt
      pilogo digits import pi-billion.txt --in-place
      pilogo digits import pi1000000.zip --first 1e6
    """
    from indexer.digits import list_stores  # noqa: PLC0415 - imports NumPy
    from indexer.sources import ImportOptions, import_digits  # noqa: PLC0415

    before = {store.folder for store in list_stores(home)}
    options = ImportOptions(constant, first, in_place, replace)
    with draw_progress(progress) as report:
        store = import_digits(home, file, options, progress=report)
    kept = store.folder in before and not replace
    note = "is complete and kept (--replace takes the file)" if kept else f"{store.n:,} decimals"
    click.echo(f"{store.folder}: {note}", err=True)
    click.echo(store.folder)


def _claim_rows(store: "DigitStore", claims: "Sequence[Claim]") -> list[dict[str, Any]]:
    label = {"constant": store.constant, "n": store.n}
    return [{**label, **dataclasses.asdict(claim), "ok": claim.ok} for claim in claims]


@digits.command()
@digits_option
@constant_option
@home_option
@format_option
@progress_option
def check(digits: int | None, constant: str, home: Path, format_: str, progress: bool) -> None:
    """Prove stores: every byte, every claim.

    Reads the decimals again and compares them with the manifest and with known values: of every
    store of the constant, or of the one that --digits N means. Exit code 1 where a claim does
    not hold.

    \b
    Examples:
      pilogo digits check
      pilogo digits check --digits 1e9 --format json
    """
    from indexer.digits import (  # noqa: PLC0415 - imports NumPy
        check_store,
        choose_store,
        list_damaged,
        list_stores,
    )

    largest = choose_store(home, digits, constant)
    stores = [largest]
    if digits is None:
        stores = [store for store in list_stores(home) if store.constant == constant]
    rows: list[dict[str, Any]] = []
    with draw_progress(progress) as report:
        for store in stores:
            rows += _claim_rows(store, check_store(store, report))
    # for a person, a long value that is right need not stand there twice
    shown = [
        {**row, "found": "the same" if row["ok"] and format_ == "table" else row["found"]}
        for row in rows
    ]
    print_rows(shown, ("constant", "n", "claim", "expected", "found", "ok"), format_)
    if digits is None:
        for damaged in list_damaged(home):
            raise damaged
    failed = [row for row in rows if not row["ok"]]
    if failed:
        row = failed[0]
        raise ClaimFailed(
            f"{len(failed)} of {len(rows)} claims fail; the first: {row['constant']}-{row['n']}, "
            f"{row['claim']} is {row['found']}, expected {row['expected']}; "
            "next: pilogo digits compute --replace"
        )


@digits.command()
@home_option
@format_option
def info(home: Path, format_: str) -> None:
    """List the stores in the home folder.

    Shows for each one which decimals it has, how many bytes, where, and how it was made.

    \b
    Examples:
      pilogo digits info
      pilogo digits info --home /data/pilogo --format csv
    """
    from indexer.digits import list_damaged, list_stores  # noqa: PLC0415 - imports NumPy

    rows = [
        {
            "constant": store.constant,
            "n": store.n,
            "bytes": store.n_bytes,
            "path": str(store.path),
            "how": str(store.made.get("how", "")),
            "with": str(store.made.get("with") or store.made.get("source", "")),
            "when": str(store.made.get("when", "")),
        }
        for store in list_stores(home)
    ]
    for damaged in list_damaged(home):
        click.echo(f"damaged: {damaged}", err=True)
    if not rows and format_ == "table":
        click.echo(f"no store in {home}; next: pilogo digits compute 1e7", err=True)
        return
    print_rows(rows, ("constant", "n", "bytes", "path", "how", "with", "when"), format_)
