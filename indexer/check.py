"""Every file of a store against its manifest.

Small files are hashed. Of large ones the size and the ends are compared, and where the check is
deep every block is read and hashed. Nothing stops at the first damage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from indexer.checksums import LargeRecord, hash_blocks
from indexer.digits import DigitStore, SurveyedStore
from indexer.errors import ClaimFailed, StoreDamaged, reason
from indexer.home import build_command
from indexer.index_files import (
    map_lists,
    read_coder,
    read_directory,
    read_manifest_of,
    read_proven,
    require_size,
)
from indexer.index_folders import WORK_NAME, index_folder
from indexer.index_manifest import (
    CODER_NAME,
    FAISS_NAME,
    LISTS_NAME,
    MANIFEST_NAME,
    IndexManifest,
)
from indexer.manifest import MANIFEST_NAME as STORE_MANIFEST_NAME
from indexer.mapping import open_plain
from indexer.progress import Progress, Tally, silent
from indexer.rows import Row
from indexer.shards import WORK_NAME as WORK_SHARDS
from indexer.shards import place_shards, read_shard, read_shards, shards_folder
from indexer.window import count_windows

CHECK_COLUMNS = ("constant", "n", "file", "bytes", "compared", "ok", "damage")
_EVERY_BYTE = "every byte"
_ENDS = "size and ends"


@dataclass(frozen=True)
class FileCheck:
    """A file, its bytes by its manifest, how it was compared, and what is wrong with it."""

    path: Path
    n_bytes: int | None
    compared: str
    damage: StoreDamaged | None


@dataclass
class StoreChecks:
    """What was found of one store: its files, and what is said of it beside."""

    entry: SurveyedStore
    files: list[FileCheck]
    notes: list[str]


def check_index_files(
    folder: Path,
    manifest: IndexManifest,
    threads: int,
    progress: Progress = silent,
    *,
    deep: bool,
) -> list[FileCheck]:
    """Every file that an index's manifest names; the manifest itself has been read.

    Reports the stage check where it is deep. Cost: 0.6 s for 10^9 bytes in memory and thread.
    """
    remedy = build_command(folder.parent)
    coder, index, lists = manifest.coder, manifest.index, manifest.lists
    coder_path, index_path, lists_path = (
        folder / name for name in (CODER_NAME, FAISS_NAME, LISTS_NAME)
    )
    damage = None
    prove_index: Callable[[], object] = partial(read_proven, index_path, index, remedy)
    try:
        n_cells = read_coder(coder_path, coder, remedy).n_cells
    except StoreDamaged as error:
        damage = error
    else:
        prove_index = partial(read_directory, index_path, manifest, n_cells, remedy)
    prove_lists: Callable[[], object] = partial(map_lists, lists_path, lists, remedy)
    if deep:
        tally = Tally("check", lists.n_bytes, "bytes", progress)
        prove_lists = partial(_prove_lists, lists_path, lists, remedy, threads, tally)
    compared = _EVERY_BYTE if deep else _ENDS
    return [
        FileCheck(coder_path, coder.n_bytes, _EVERY_BYTE, damage),
        FileCheck(index_path, index.n_bytes, _EVERY_BYTE, _damage(prove_index)),
        FileCheck(lists_path, lists.n_bytes, compared, _damage(prove_lists)),
    ]


def check_store_files(
    entry: SurveyedStore, threads: int, progress: Progress = silent, *, deep: bool
) -> StoreChecks:
    """Every file of a store: manifest and decimals, and those of its index where it has one."""
    found = StoreChecks(entry, [], _leftovers(entry.folder))
    path = entry.folder / STORE_MANIFEST_NAME
    store = entry.store
    if store is None:
        found.files.append(FileCheck(path, None, _EVERY_BYTE, entry.damage))
        return found
    found.files.append(FileCheck(path, path.stat().st_size, _EVERY_BYTE, None))
    damage = _damage(partial(store.require_sound, threads, progress) if deep else store.decimals)
    compared = _EVERY_BYTE if deep else _ENDS
    found.files.append(FileCheck(store.path, store.n_bytes, compared, damage))
    folder = index_folder(entry.folder)
    if folder:
        found.files += _check_index(store, folder, threads, progress, deep=deep)
    shards = shards_folder(entry.folder)
    if shards:
        found.files += _check_shards(store, shards, threads, progress, deep=deep)
    return found


def _check_shards(
    store: DigitStore, folder: Path, threads: int, progress: Progress, *, deep: bool
) -> list[FileCheck]:
    """The files of a set, and all of each of its shards."""
    path, remedy = folder / MANIFEST_NAME, build_command(store.folder)
    try:
        manifest = read_shards(store, folder)
    except StoreDamaged as error:
        return [FileCheck(path, None, _EVERY_BYTE, error)]
    coder = folder / CODER_NAME
    damage = _damage(partial(read_coder, coder, manifest.coder, remedy))
    checks = [
        FileCheck(path, path.stat().st_size, _EVERY_BYTE, None),
        FileCheck(coder, manifest.coder.n_bytes, _EVERY_BYTE, damage),
    ]
    for place in place_shards(manifest, folder, count_windows(store.n)):
        try:
            shard = read_shard(place)
        except StoreDamaged as error:
            own = place.folder / STORE_MANIFEST_NAME
            checks.append(FileCheck(own, None, _EVERY_BYTE, error))
            continue
        entry = SurveyedStore(place.folder, *shard.name[:2], shard, None, shard.first_offset)
        checks += check_store_files(entry, threads, progress, deep=deep).files
    return checks


def _check_index(
    store: DigitStore, folder: Path, threads: int, progress: Progress, *, deep: bool
) -> list[FileCheck]:
    path = folder / MANIFEST_NAME
    try:
        manifest = read_manifest_of(store, folder, build_command(store.folder))
    except StoreDamaged as damage:
        return [FileCheck(path, None, _EVERY_BYTE, damage)]
    own = FileCheck(path, path.stat().st_size, _EVERY_BYTE, None)
    return [own, *check_index_files(folder, manifest, threads, progress, deep=deep)]


def check_rows(found: StoreChecks) -> list[Row]:
    """Rows of CHECK_COLUMNS; a file used in place by its whole path."""
    entry = found.entry
    rows = []
    for check in found.files:
        inside = check.path.is_relative_to(entry.folder)
        name = check.path.relative_to(entry.folder) if inside else check.path
        rows.append(
            {
                "constant": entry.constant,
                "n": entry.n,
                "file": str(name),
                "bytes": check.n_bytes,
                "compared": check.compared,
                "ok": check.damage is None,
                "damage": str(check.damage or ""),
            }
        )
    return rows


def raise_damage(found: Sequence[StoreChecks]) -> None:
    """ClaimFailed, or StoreDamaged where a store's manifest itself is, if any file is damaged."""
    checks = [check for one in found for check in one.files]
    damaged = [check for check in checks if check.damage]
    if not damaged:
        return
    kind = StoreDamaged if any(one.entry.store is None for one in found) else ClaimFailed
    raise kind(f"{len(damaged)} of {len(checks)} files are damaged; the first: {damaged[0].damage}")


def _damage(prove: Callable[[], object]) -> StoreDamaged | None:
    try:
        prove()
    except StoreDamaged as damage:
        return damage
    return None


def _prove_lists(path: Path, record: LargeRecord, remedy: str, threads: int, tally: Tally) -> None:
    """StoreDamaged unless every block of a file of lists is as recorded."""
    try:
        with open_plain(path) as file:
            require_size(path, file.fileno(), record, remedy)
            found = hash_blocks(file.fileno(), 0, record.n_bytes, threads, tally.add)
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {reason(error)}; next: {remedy}") from None
    bad = [k for k, pair in enumerate(zip(found, record.blocks, strict=True)) if len(set(pair)) > 1]
    if bad:
        first, end = record.block_range(bad[0])
        more = f", and {len(bad) - 1} more blocks" if len(bad) > 1 else ""
        raise StoreDamaged(
            f"{path}: bytes {first:,} to {end - 1:,} are not what its manifest says (sha256 of "
            f"block {bad[0]} of {len(found)}{more}); next: {remedy}"
        )
    map_lists(path, record, remedy)  # the blocks are right, but the record of the ends may not be


def _leftovers(folder: Path) -> list[str]:
    """What a run that did not end has left beside a store or in it."""
    return [
        f"{work} is of a build that did not end; next: {build_command(folder)}"
        for work in (folder / WORK_NAME, folder / WORK_SHARDS)
        if work.is_dir()
    ]
