"""The command `pilogo build`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer.meter import draw_progress
from indexer.options import (
    Count,
    constant_option,
    home_option,
    progress_option,
    threads_option,
)
from indexer.progress import Progress
from indexer.resources import (
    duration,
    gigabytes,
    peak_memory,
    require_address_room,
    require_disk,
    require_memory,
)
from indexer.rows import printable

if TYPE_CHECKING:
    from indexer.compute import ComputePlan
    from indexer.digits import DigitStore

# Address space that the libraries take when they are loaded: without it they crash.
_LIBRARIES = 900_000_000


@click.command()
@click.option("--digits", type=Count(), default=None, metavar="N",
              help="How many decimals; computed first where there is no store of exactly so many. "
              "Without it the largest complete store, or 10^7.")  # fmt: skip
@constant_option
@click.option("--dry-run", is_flag=True, help="Say what it would take, and do nothing.")
@click.option("--replace", is_flag=True, help="Build it again where it is there.")
@home_option
@threads_option
@progress_option
def build(  # noqa: PLR0913, PLR0917 - one parameter an option, as click wants it
    digits: int | None,
    constant: str,
    dry_run: bool,
    replace: bool,
    home: Path,
    threads: int,
    progress: bool,
) -> None:
    """Build the index: once for a store, then `find` answers in milliseconds.

    Says first what it takes: bytes on disk, memory, time. Work goes in parts; after Ctrl-C or a
    crash the same command goes on where it was. An index that is there is read through, and what
    is damaged of it is built again. Prints the index's folder.

    \b
    Examples:
      pilogo build --digits 1e9 --dry-run
      pilogo build --digits 1e9
      pilogo build --constant e --digits 1e8 --threads 4
    """
    from indexer.digits import DEFAULT_DIGITS, find_store, list_stores  # noqa: PLC0415
    from indexer.home import store_folder  # noqa: PLC0415
    from indexer.locks import refuse_if_locked  # noqa: PLC0415

    if digits is None:
        sizes = [store.n for store in list_stores(home) if store.constant == constant]
        digits = max(sizes, default=DEFAULT_DIGITS)
    if not dry_run:  # before seconds are spent on the plan
        refuse_if_locked(home, store_folder(home, constant, digits).name)

    require_address_room(_LIBRARIES, "building an index")
    from indexer.build import build_index  # noqa: PLC0415 - imports FAISS
    from indexer.build_plan import describe_plan, measure_rate, plan_build  # noqa: PLC0415
    from indexer.compute import plan_compute  # noqa: PLC0415
    from indexer.index_files import has_index  # noqa: PLC0415

    store = find_store(home, constant, digits)
    there = store is not None and has_index(store) and not replace
    if dry_run or not there:
        plan = plan_build(digits, threads, measure_rate())
        click.echo(describe_plan(plan, digits, constant), err=True)
        if store is None:
            compute = plan_compute(digits, constant, threads)
            _say_decimals(compute, digits, constant)
            if not dry_run:  # both together, before the first is begun
                what = f"{digits:,} decimals of {constant} and their index"
                require_memory(max(plan.memory_bytes, compute.memory_bytes), what)
                require_disk(plan.disk_bytes + compute.disk_bytes, home, what)
    if dry_run and there:
        click.echo("it is built already: build would read it through, and mend it", err=True)
    if dry_run:
        return
    began = time.monotonic()
    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        click.echo(printable(text), err=True)

    with draw_progress(progress) as report:
        store = store or _compute(home, digits, constant, threads, report)
        index = build_index(store, threads=threads, replace=replace, progress=report, say=say)
    if there and not told:
        click.echo("the index is complete, sound and kept (--replace builds it again)", err=True)
    else:
        seconds = duration(time.monotonic() - began)
        click.echo(f"built in {seconds}; peak memory {gigabytes(peak_memory())}", err=True)
    click.echo(index.folder)


def _say_decimals(plan: "ComputePlan", digits: int, constant: str) -> None:
    click.echo(
        f"before that {digits:,} decimals of {constant} are computed: about "
        f"{duration(plan.seconds)}, {gigabytes(plan.memory_bytes)} of memory, "
        f"{gigabytes(plan.disk_bytes)} of disk",
        err=True,
    )


def _compute(
    home: Path, digits: int, constant: str, threads: int, report: Progress
) -> "DigitStore":
    from indexer.compute import compute_digits  # noqa: PLC0415

    return compute_digits(home, digits, constant, threads=threads, progress=report)
