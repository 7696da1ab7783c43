"""The command group `pilogo digits`.

Errors are raised, never caught: query/entry.py turns them into one line and an exit code.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer.errors import UsageError
from indexer.meter import draw_progress
from indexer.options import (
    Count,
    constant_option,
    format_option,
    from_option,
    home_option,
    progress_option,
    threads_option,
)
from indexer.progress import Progress
from indexer.resources import duration
from indexer.rows import format_rows, printable

if TYPE_CHECKING:
    from indexer.digits import DigitStore, SurveyedStore
    from indexer.proof import Findings


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
        f"{n:,} decimals of {constant}, {threads} threads: about {duration(plan.seconds)}, "
        f"{gigabytes(plan.memory_bytes)} of memory, {gigabytes(plan.disk_bytes)} of disk",
        err=True,
    )
    with draw_progress(progress) as report:
        store = compute_digits(home, n, constant, threads=threads, progress=report, replace=replace)
    click.echo(f"done in {store.made.get('seconds', 0)} s", err=True)
    click.echo(store.folder)


@digits.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...",
                type=click.Path(path_type=Path))  # fmt: skip
@constant_option
@home_option
@click.option("--from", "first_offset", type=Count(1), metavar="OFFSET",
              help="Where in the number a text begins; 1 without it.")  # fmt: skip
@click.option("--first", type=Count(), metavar="N", help="Import only the first N decimals.")
@click.option("--in-place", is_flag=True, help="Use the file where it is; it must stay there.")
@click.option("--replace", is_flag=True, help="Put it in place of a store of as many decimals.")
@progress_option
def import_(  # noqa: PLR0913, PLR0917 - one parameter an option, as click wants it
    files: tuple[Path, ...],
    constant: str,
    home: Path,
    first_offset: int | None,
    first: int | None,
    in_place: bool,
    replace: bool,
    progress: bool,
) -> None:
    """Import the decimals in FILE.

    FILE is a text, as it is or in a zip, gz, zst, xz or bz2. It may begin with "3." or not, may
    have line breaks, groups and a counter on every line; anything else is refused. Known values
    are compared, and how far they reach is said. Or the FILEs are y-cruncher's .ycd: the files of
    one set, any one of them, or their folder. Prints the store's folder.

    \b
    Examples:
      pilogo digits import pi-billion.txt
      pilogo digits import pi-billion.txt --in-place
      pilogo digits import pi1000000.zip --first 1e6
      pilogo digits import "Pi - Dec - Chudnovsky - 0.ycd" --in-place
      pilogo digits import tail.txt --from 500000001
    """
    from indexer.digits import list_stores  # noqa: PLC0415 - imports NumPy
    from indexer.proof import reach_note  # noqa: PLC0415
    from indexer.sources import ImportOptions, import_digits  # noqa: PLC0415

    before = {store.folder for store in list_stores(home)}
    options = ImportOptions(constant, first, in_place, replace, first_offset)
    with draw_progress(progress) as report:
        store = import_digits(home, files, options, progress=report)
    kept = store.folder in before and not replace
    what = "the store is complete and kept (--replace takes the file)" if kept else "imported"
    begin = f" from offset {store.first_offset:,} on" if store.first_offset > 1 else ""
    click.echo(f"{store.n:,} decimals of {constant}{begin}: {what}", err=True)
    if note := reach_note(store, home):
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
            f"about {duration(plan.seconds)}, {gigabytes(plan.memory_bytes)} of memory",
            err=True,
        )
    return lambda store: recompute_hash(store, threads, report)


def _report_damaged(findings: "Findings") -> None:
    for _, damage in findings.damaged:
        click.echo(printable(f"damaged: {damage}"), err=True)


@digits.command()
@click.option("--digits", type=Count(), metavar="N",
              help="Only the smallest store of at least N decimals; without it every store of the "
              "constant.")  # fmt: skip
@from_option
@constant_option
@home_option
@click.option("--recompute", is_flag=True,
              help="Compute the constant again and compare: proves every decimal.")  # fmt: skip
@threads_option
@format_option
@progress_option
def check(  # noqa: PLR0913, PLR0917 - one parameter an option, as click wants it
    digits: int | None,
    first_offset: int | None,
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
        columns_for,
        shorten_claims,
        stores_to_check,
    )

    entries = stores_to_check(home, digits, constant, first_offset)
    if recompute:
        for part in [entry for entry in entries if entry.first_offset > 1]:
            click.echo(f"{part.folder.name} is left out: it does not begin at offset 1", err=True)
        entries = [entry for entry in entries if entry.first_offset == 1]
        if not entries:
            raise UsageError("only decimals from offset 1 on can be computed again")
    with draw_progress(progress) as report:
        again = _recomputer(entries, threads, report) if recompute else None
        findings = check_stores(entries, again, report)
    rows = shorten_claims(findings.rows) if format_ == "table" else findings.rows
    click.echo(format_rows(rows, columns_for(format_, CLAIM_COLUMNS, rows), format_))
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
    from indexer.home import digits_command  # noqa: PLC0415
    from indexer.proof import (  # noqa: PLC0415 - imports NumPy
        INFO_COLUMNS,
        columns_for,
        describe_stores,
    )

    findings = describe_stores(home)
    if not findings.rows and format_ == "table":
        command = digits_command("compute 1e7", "pi", home)
        click.echo(f"no store in {home}; next: {command}", err=True)
        return
    columns = columns_for(format_, INFO_COLUMNS, findings.rows)
    click.echo(format_rows(findings.rows, columns, format_))
    _report_damaged(findings)
    findings.raise_damaged(len(findings.rows))
