"""Building the shards of a store: each one alone, by whoever takes the task; the set at the end.

learn the coder → for each shard: cut its decimals, build its index → compare the decimal hash,
merged over shards, with the store's → the set's manifest → shards.wip becomes shards. A task
names folders and offsets, and can be given to any process that sees them; one that is given twice,
or again after its process died, finds what is done and does the rest.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from indexer.build import Say, build_index, read_own
from indexer.checksums import FileRecord, record_bytes
from indexer.cluster import Cluster
from indexer.decimals import PIECE
from indexer.digits import DigitStore, find_store, read_store, record_decimals, store_of
from indexer.durable import sync_folder, translated_os_errors, write_file
from indexer.errors import StoreDamaged, StoreError, StoreForeign
from indexer.home import SHARDS, StoreName, build_command
from indexer.index_files import coder_bytes, parse_coder, read_proven
from indexer.index_folders import WORK_DOCUMENT
from indexer.index_manifest import CODER_NAME
from indexer.learning import SEED, learn_coder
from indexer.locks import locked
from indexer.manifest import DECIMALS_NAME, MANIFEST_NAME, Manifest
from indexer.progress import Progress, Step, Tally, silent
from indexer.shard_folders import (
    publish_shards,
    remove_shards,
    require_ours,
    restore_shards,
)
from indexer.shards import (
    OVERLAP,
    WORK_NAME,
    ShardFacts,
    ShardsManifest,
    cut,
    merged_hash,
    read_shards,
    shards_folder,
    write_shards,
)
from indexer.summary import Summariser, hash_without, merge_decimal_hash
from indexer.window import count_windows
from indexer.workspace import Workspace


@dataclass(frozen=True)
class ShardTask:
    """A shard to make in `home`, of the decimals of the store in `source`, with a coder's file.

    The coder's record proves the file. threads is how many the task may use.
    """

    source: Path
    home: Path
    name: StoreName
    coder: Path
    coder_record: FileRecord
    threads: int


# Makes tasks in any order and hands out the facts of each as it is done.
Runner = Callable[[Sequence[ShardTask]], Iterable[ShardFacts]]


def run_here(progress: Progress = silent, say: Say | None = None) -> Runner:
    """A runner that makes one shard after the other in this process."""

    def run(tasks: Sequence[ShardTask]) -> Iterator[ShardFacts]:
        missing = [task for task in tasks if not (task.home / str(task.name)).exists()]
        if missing:  # as build_index does: decimals that are not sound are not indexed
            read_store(tasks[0].source).require_sound(tasks[0].threads, progress)
        for number, task in enumerate(tasks, 1):
            if say and len(tasks) > 1:
                say(f"shard {number} of {len(tasks)}: {task.name}")
            yield make_shard(task, progress)

    return run


def run_there(cluster: Cluster) -> Runner:
    """A runner that gives shards to the workers of a cluster; they must see the folders."""

    def run(tasks: Sequence[ShardTask]) -> Iterator[ShardFacts]:
        for _, facts in cluster.run(make_shard, ((task, ()) for task in tasks)):
            if isinstance(facts, ShardFacts):
                yield facts

    return run


def build_shards(  # noqa: PLR0913 - what to build, how, and by whom
    store: DigitStore,
    n_shards: int | None,
    runner: Runner,
    *,
    into: Sequence[Path] = (),
    threads: int = 1,
    replace: bool = False,
    progress: Progress = silent,
    say: Say | None = None,
) -> Path:
    """The folder of a store's shards, made where they are not there, mended where damaged.

    n_shards may be None where they are there. into are folders to put the shards in, in turn;
    without them they are in the store. Raises StoreBusy where another process builds, StoreForeign
    where other shards are there and are not to be replaced, StoreDamaged where the decimals that
    were cut do not have the store's decimal hash. Reports the stages of build_index and "shards".
    """
    say = say or (lambda text: None)
    home, name = store.folder.parent, store.folder.name
    with translated_os_errors(store.folder), locked(home, name):
        restore_shards(store.folder)
        there = shards_folder(store.folder)
        work = store.folder / WORK_NAME
        if there and not replace:
            if into:
                raise StoreForeign(
                    f"{there} has its shards already, and --into is for new ones; next: "
                    f"{build_command(store.folder, replace=True, shards=n_shards)} --into …"
                )
            _mend(store, there, n_shards, runner, threads, progress)
            remove_shards(work)  # of a replacement that was begun and not gone on with
            return there
        before = _outside(store, there)
        require_ours(store.folder / SHARDS)
        require_ours(work)
        names = cut(store.name, n_shards or 1)
        homes = [path.absolute() for path in into]
        _prepare(store, work, names, homes)
        record = _coder(work, count_windows(store.n), progress, say)
        tasks = []
        for number, shard in enumerate(names):
            where = homes[number % len(homes)] if homes else work
            where.mkdir(parents=True, exist_ok=True)
            task = ShardTask(store.folder, where, shard, work / CODER_NAME, record, threads)
            tasks.append(task)
        shards = _run(runner, tasks, progress)
        if homes:
            shards = [
                _moved(facts, homes[number % len(homes)]) for number, facts in enumerate(shards)
            ]
        _require_hash(store, shards, tasks)
        write_shards(work, ShardsManifest(store.name, store.record.sha256, record, tuple(shards)))
        made = publish_shards(store.folder)
        for left in before - {made / shard.folder for shard in shards}:
            say(f"no longer used: {left}, a shard of the set before; remove it")
        return made


def _run(runner: Runner, tasks: Sequence[ShardTask], progress: Progress) -> list[ShardFacts]:
    """The facts of all tasks, in their order; reports the stage shards."""
    done: dict[int, ShardFacts] = {}
    total = sum(count_windows(task.name.n) for task in tasks)
    windows = 0
    for facts in runner(tasks):
        if facts.first_offset not in done:
            windows += count_windows(facts.n)
        done[facts.first_offset] = facts
        if len(tasks) > 1:
            progress(Step("shards", windows, total, "windows"))
    return [done[task.name.first_offset] for task in tasks]


def _moved(facts: ShardFacts, home: Path) -> ShardFacts:
    return ShardFacts(
        str(home / facts.folder),
        facts.first_offset,
        facts.n,
        facts.sha256,
        facts.own_hash,
        facts.build,
    )


def make_shard(task: ShardTask, progress: Progress = silent) -> ShardFacts:
    """Make a shard, or what is missing of it. Raises as import_digits and build_index do."""
    coder = read_proven(task.coder, task.coder_record, build_command(task.source))
    with translated_os_errors(task.home):
        task.home.mkdir(parents=True, exist_ok=True)
        store = _cut_decimals(task, progress)
    index = build_index(store, threads=task.threads, coder=coder, progress=progress)
    tail = store.open()[-OVERLAP:].tobytes().decode("ascii")
    own_hash = hash_without(store.summary.decimal_hash, tail)
    return ShardFacts(
        store.folder.name, store.first_offset, store.n, store.record.sha256, own_hash, index.build
    )


def _cut_decimals(task: ShardTask, progress: Progress) -> DigitStore:
    """The shard's decimals, cut from the source unless they are there and sound."""
    name = task.name
    with contextlib.suppress(StoreDamaged):
        there = find_store(task.home, *name)
        if there:
            there.require_sound(task.threads, progress)
            return there
    source = read_store(task.source)
    decimals = source.decimals()
    first = name.first_offset - source.first_offset
    summariser = Summariser(source.integer_part if name.first_offset == 1 else 0)
    tally = Tally("cut", name.n, "digits", progress)
    with Workspace(task.home, str(name)) as work:
        with work.decimals.open("xb") as file:
            for at in range(first, first + name.n, PIECE):
                piece = decimals.read(at, min(at + PIECE, first + name.n))
                try:
                    summariser.update(piece)
                except ValueError as error:
                    raise StoreDamaged(f"{source.path}: {error}") from None
                file.write(piece.data)
                tally.add(len(piece))
            file.flush()
            os.fsync(file.fileno())
        summary = summariser.summary()
        record = record_decimals(work.decimals, 0, summary, task.threads)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        made: dict[str, str | int | float] = {
            "how": "cut",
            "source": str(source.name),
            "when": when,
        }
        manifest = Manifest(
            name.constant,
            name.n,
            DECIMALS_NAME,
            False,
            name.n,
            0,
            summary,
            record,
            made,
            name.first_offset,
        )
        return store_of(work.publish(manifest, replace=True), manifest)


def _outside(store: DigitStore, folder: Path | None) -> set[Path]:
    """The shards of a set that stand outside of the store."""
    if folder is None:
        return set()
    with contextlib.suppress(StoreDamaged):
        found = read_shards(store, folder).shards
        return {Path(shard.folder) for shard in found if Path(shard.folder).is_absolute()}
    return set()


def unfinished_shards(store: DigitStore) -> tuple[int, list[Path]] | None:
    """(number, folders to put them in) of shards that were begun and not finished."""
    try:
        document = json.loads(read_own(store.folder / WORK_NAME / WORK_DOCUMENT))
        count, into = len(document["shards"]), [Path(text) for text in document["into"]]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return None
    return (count, into) if _purpose(store, cut(store.name, count), into) == document else None


def _mend(
    store: DigitStore,
    folder: Path,
    n_shards: int | None,
    runner: Runner,
    threads: int,
    progress: Progress,
) -> Path:
    """Read the shards that are there through, and make again what of them is damaged."""
    manifest = read_shards(store, folder)
    if n_shards not in {None, len(manifest.shards)}:
        raise StoreForeign(
            f"{folder} has {len(manifest.shards)} shards, and {n_shards} are asked for; "
            f"next: {build_command(store.folder, replace=True, shards=n_shards)}"
        )
    tasks = []
    for shard in manifest.shards:
        where = folder / shard.folder
        name = StoreName(store.constant, shard.n, shard.first_offset)
        coder = folder / CODER_NAME
        task = ShardTask(store.folder, where.parent, name, coder, manifest.coder, threads)
        tasks.append(task)
    for shard, facts in zip(manifest.shards, _run(runner, tasks, progress), strict=True):
        if (facts.sha256, facts.build) != (shard.sha256, shard.build):
            raise StoreDamaged(
                f"{folder / shard.folder} does not become what the set says; "
                f"next: {build_command(store.folder, replace=True, shards=len(tasks))}"
            )
    return folder


def _prepare(
    store: DigitStore, work: Path, names: Sequence[StoreName], homes: Sequence[Path]
) -> None:
    """A work folder for these very shards: an earlier run's, or an empty one."""
    purpose = _purpose(store, names, homes)
    document = work / WORK_DOCUMENT
    try:
        same = json.loads(read_own(document)) == purpose
    except (OSError, ValueError, RecursionError):
        same = False
    if not same:
        remove_shards(work)
        work.mkdir()
        write_file(document, json.dumps(purpose).encode())
        sync_folder(store.folder)


def _purpose(
    store: DigitStore, names: Sequence[StoreName], homes: Sequence[Path]
) -> dict[str, object]:
    """What decides the work but for the threads."""
    return {
        "decimals_sha256": store.record.sha256,
        "seed": SEED,
        "shards": [str(name) for name in names],
        "into": [str(home) for home in homes],
    }


def _coder(work: Path, n_windows: int, progress: Progress, say: Say) -> FileRecord:
    """The record of the coder in the work folder, learned where it is not there."""
    path = work / CODER_NAME
    with contextlib.suppress(StoreError, OSError):
        content = read_own(path)
        parse_coder(content, path, "")
        say("reusing the codebooks that are there")
        return record_bytes(content)
    content = coder_bytes(learn_coder(n_windows, progress))
    write_file(path, content)
    return record_bytes(content)


def _require_hash(
    store: DigitStore, shards: Sequence[ShardFacts], tasks: Sequence[ShardTask]
) -> None:
    """StoreDamaged unless the shards together have the decimal hash of the store.

    Then the source is read through, so that the place can be named, and the shards are given up.
    """
    last = tasks[-1]
    end = find_store(last.home, *last.name)
    if end is None:
        raise StoreDamaged(f"{last.home / str(last.name)} is gone")
    tail = end.open()[-OVERLAP:].tobytes().decode("ascii")
    found = merge_decimal_hash(merged_hash(shards), int(tail), OVERLAP)
    if found != store.summary.decimal_hash:
        for task in tasks:
            (task.home / str(task.name) / MANIFEST_NAME).unlink(missing_ok=True)
        store.require_sound(last.threads)
        raise StoreDamaged(
            f"the decimals cut from {store.path} have the decimal hash {found}, and its manifest "
            f"says {store.summary.decimal_hash}: `pilogo digits check` tells where"
        )
