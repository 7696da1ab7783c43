"""The command `pilogo build`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from indexer.errors import UsageError
from indexer.meter import draw_progress
from indexer.options import (
    Count,
    constant_option,
    from_option,
    home_option,
    progress_option,
    scheduler_option,
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
    from indexer.build_plan import BuildPlan
    from indexer.compute import ComputePlan
    from indexer.digits import DigitStore
    from indexer.home import StoreName

# Address space that the libraries take when they are loaded: without it they crash.
_LIBRARIES = 900_000_000
_MOST_SHARDS = 1 << 16
_MOST_WORKERS = 100_000


@click.command()
@click.option("--digits", type=Count(), default=None, metavar="N",
              help="How many decimals; computed first where there is no store of exactly so many. "
              "Without it the largest complete store, or 10^7.")  # fmt: skip
@from_option
@constant_option
@click.option("--dry-run", is_flag=True, help="Say what it would take, and do nothing.")
@click.option("--workers", type=Count(1, _MOST_WORKERS), metavar="W",
              help="With --dry-run: plan for so many machines like this one.")  # fmt: skip
@click.option("--shards", type=Count(1, _MOST_SHARDS), metavar="K",
              help="Cut the decimals into so many shards, each a store with an index of its "
              "own.")  # fmt: skip
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), multiple=True,
              metavar="DIR", help="Put the shards here and not into the store; can be repeated, "
              "for several disks.")  # fmt: skip
@click.option("--replace", is_flag=True, help="Build it again where it is there.")
@home_option
@threads_option
@scheduler_option
@progress_option
def build(**options: Any) -> None:
    """Build the index: once for a store, then `find` answers in milliseconds.

    Says first what it takes: bytes on disk, memory, time. Work goes in parts; after Ctrl-C or a
    crash the same command goes on where it was. An index that is there is read through, and
    built again where it is damaged. Prints the index's folder.

    With --shards, or where decimals are more than one index holds, the store is cut into shards.
    With --scheduler the workers build them, one each at a time; they must see the home.

    \b
    Examples:
      pilogo build --digits 1e9 --dry-run
      pilogo build --digits 1e9
      pilogo build --constant e --digits 1e8 --threads 4
      pilogo build --digits 1e9 --shards 16 --scheduler local:2
      pilogo build --digits 1e12 --dry-run --workers 64
    """
    from indexer.digits import DEFAULT_DIGITS, find_store, list_stores  # noqa: PLC0415
    from indexer.home import StoreName, store_folder  # noqa: PLC0415
    from indexer.locks import refuse_if_locked  # noqa: PLC0415

    home, constant, dry_run = options["home"], options["constant"], options["dry_run"]
    digits, first_offset = options["digits"], options["first_offset"] or 1
    if options["workers"] and not dry_run:
        raise UsageError(
            "--workers is for --dry-run; the workers of --scheduler are as many as are"
        )
    if digits is None:
        sizes = [
            store.n
            for store in list_stores(home)
            if (store.constant, store.first_offset) == (constant, first_offset)
        ]
        digits = max(sizes, default=DEFAULT_DIGITS)
    name = StoreName(constant, digits, first_offset)
    if not dry_run:  # before seconds are spent on the plan
        refuse_if_locked(home, store_folder(home, *name).name)
    require_address_room(_LIBRARIES, "building an index")
    store = find_store(home, *name)
    if options["workers"]:
        _say_scale(digits, options["workers"], options["shards"])
    elif _is_sharded(store, name, options):
        _build_shards(store, name, options)
    else:
        _build_one(store, name, options)


def _is_sharded(store: "DigitStore | None", name: "StoreName", options: dict[str, Any]) -> bool:
    """Whether the index is, or is to be, one of shards."""
    from indexer.build_plan import LARGEST_INDEX  # noqa: PLC0415
    from indexer.shards import is_half_cut, shards_folder  # noqa: PLC0415

    if options["shards"] or options["into"] or options["scheduler"]:
        return True
    there = store is not None and (
        bool(store.packed) or shards_folder(store.folder) is not None or is_half_cut(store.folder)
    )
    return there or name.n > LARGEST_INDEX


def _build_one(store: "DigitStore | None", name: "StoreName", options: dict[str, Any]) -> None:
    """An index in the store itself."""
    from indexer.build import build_index  # noqa: PLC0415 - imports FAISS
    from indexer.build_plan import describe_plan, measure_rate, plan_build  # noqa: PLC0415
    from indexer.index_files import has_index  # noqa: PLC0415

    threads, replace, dry_run = options["threads"], options["replace"], options["dry_run"]
    there = store is not None and has_index(store) and not replace
    if dry_run or not there:
        plan = plan_build(name.n, threads, measure_rate())
        click.echo(describe_plan(plan, name.n, name.constant), err=True)
        if store is None:
            _plan_decimals(plan, name, options)
    if dry_run and there:
        click.echo("it is built already: build would read it through, and mend it", err=True)
    if dry_run:
        return
    began = time.monotonic()
    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        _say(text)

    with draw_progress(options["progress"]) as report:
        store = store or _compute(name, options, report)
        index = build_index(store, threads=threads, replace=replace, progress=report, say=say)
    if there and not told:
        click.echo("the index is complete, sound and kept (--replace builds it again)", err=True)
    else:
        seconds = duration(time.monotonic() - began)
        click.echo(f"built in {seconds}; peak memory {gigabytes(peak_memory())}", err=True)
    click.echo(index.folder)


def _build_shards(store: "DigitStore | None", name: "StoreName", options: dict[str, Any]) -> None:
    """Shards with an index each, here or by the workers of a cluster."""
    from indexer.build_plan import measure_rate, plan_build  # noqa: PLC0415
    from indexer.shard_build import (  # noqa: PLC0415
        build_shards,
        run_here,
        run_there,
        unfinished_shards,
    )
    from indexer.shard_plan import choose_shards, describe_shards  # noqa: PLC0415
    from indexer.shards import shards_folder  # noqa: PLC0415

    threads, replace, scheduler = options["threads"], options["replace"], options["scheduler"]
    folder = shards_folder(store.folder) if store else None
    there = folder is not None and not replace
    wanted, into = options["shards"], options["into"]
    for path in into:
        if path.exists() and not path.is_dir():
            raise UsageError(f"--into {path} is no folder")
    if there and wanted:  # as it was cut, where more were asked for than there are windows
        wanted = choose_shards(name.n, wanted, 1)
    runner, n_threads = None, threads
    if scheduler and not options["dry_run"]:
        from indexer.cluster import connect  # noqa: PLC0415

        cluster = click.get_current_context().with_resource(connect(scheduler))
        runner, n_threads = run_there(cluster), sum(cluster.workers().values())
    if store and not there and not wanted and (begun := unfinished_shards(store)):
        wanted, into = begun
        _say(f"going on with {wanted} shards that were begun")
    if not there:
        wanted = choose_shards(name.n, wanted, n_threads if scheduler else 1)
        click.echo(describe_shards(name, wanted, n_threads, measure_rate()), err=True)
        if store is None:
            _plan_decimals(plan_build(min(name.n, 10**9), threads), name, options)
    elif options["dry_run"]:
        click.echo("they are built already: build would read them through, and mend them", err=True)
    if options["dry_run"]:
        return
    began = time.monotonic()
    with draw_progress(options["progress"]) as report:
        store = store or _compute(name, options, report)
        made = build_shards(
            store,
            wanted,
            runner or run_here(report, _say),
            into=into,
            threads=1 if scheduler else threads,
            replace=replace,
            progress=report,
            say=_say,
        )
    click.echo(f"{'read through' if there else 'built'} in {duration(time.monotonic() - began)}",
               err=True)  # fmt: skip
    click.echo(made)


def _say(text: str) -> None:
    click.echo(printable(text), err=True)


def _say_scale(digits: int, workers: int, shards: int | None) -> None:
    from indexer.build_plan import measure_rate  # noqa: PLC0415
    from indexer.shard_plan import describe_scale, plan_scale  # noqa: PLC0415

    click.echo(describe_scale(plan_scale(digits, workers, shards, measure_rate())))


def _plan_decimals(plan: "BuildPlan", name: "StoreName", options: dict[str, Any]) -> None:
    """Say what the decimals take that are computed first, and refuse what there is no room for."""
    from indexer.compute import plan_compute  # noqa: PLC0415

    if name.first_offset > 1:
        raise UsageError(
            f"no store of {name.n:,} decimals from offset {name.first_offset:,} on, and only "
            f"decimals from offset 1 on can be computed; next: pilogo digits import FILE "
            f"--from {name.first_offset}"
        )
    compute = plan_compute(name.n, name.constant, options["threads"])
    _say_decimals(compute, name)
    if not options["dry_run"]:  # both together, before the first is begun
        what = f"{name.n:,} decimals of {name.constant} and their index"
        require_memory(max(plan.memory_bytes, compute.memory_bytes), what)
        require_disk(plan.disk_bytes + compute.disk_bytes, options["home"], what)


def _say_decimals(plan: "ComputePlan", name: "StoreName") -> None:
    click.echo(
        f"before that {name.n:,} decimals of {name.constant} are computed: about "
        f"{duration(plan.seconds)}, {gigabytes(plan.memory_bytes)} of memory, "
        f"{gigabytes(plan.disk_bytes)} of disk",
        err=True,
    )


def _compute(name: "StoreName", options: dict[str, Any], report: Progress) -> "DigitStore":
    from indexer.compute import compute_digits  # noqa: PLC0415

    return compute_digits(
        options["home"], name.n, name.constant, threads=options["threads"], progress=report
    )
