"""The command `pilogo check`."""

from pathlib import Path

import click

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
from indexer.rows import format_rows, printable


@click.command()
@click.option("--digits", type=Count(), metavar="N",
              help="Only the smallest store of at least N decimals; without it every store of the "
              "constant.")  # fmt: skip
@from_option
@constant_option
@click.option("--deep", is_flag=True, help="Read every byte, and name the blocks that are bad.")
@home_option
@threads_option
@format_option
@progress_option
def check(  # noqa: PLR0913, PLR0917 - one parameter an option, as click wants it
    digits: int | None,
    first_offset: int | None,
    constant: str,
    deep: bool,
    home: Path,
    threads: int,
    format_: str,
    progress: bool,
) -> None:
    """Compare every file of the stores with its manifest.

    Small files are hashed; of decimals and lists size and ends are compared, and with --deep every
    byte. Exit code 1 where a file is damaged, 4 where a store cannot be read at all. `pilogo build`
    mends an index; `pilogo digits check` compares the decimals with known values.

    \b
    Examples:
      pilogo check
      pilogo check --deep
      pilogo check --digits 1e9 --deep --format json
    """
    from indexer.check import (  # noqa: PLC0415 - imports NumPy
        CHECK_COLUMNS,
        check_rows,
        check_store_files,
        raise_damage,
    )
    from indexer.proof import stores_to_check  # noqa: PLC0415

    with draw_progress(progress) as report:
        found = [
            check_store_files(entry, threads, report, deep=deep)
            for entry in stores_to_check(home, digits, constant, first_offset)
        ]
    rows = [row for one in found for row in check_rows(one)]
    columns = CHECK_COLUMNS[:-1] if format_ == "table" else CHECK_COLUMNS
    click.echo(format_rows(rows, columns, format_))
    for row in rows:
        if not row["ok"]:
            click.echo(printable(f"damaged: {row['damage']}"), err=True)
    for one in found:
        for note in one.notes:
            click.echo(printable(note), err=True)
    raise_damage(found)
