"""The folders of a store's shards: the one in use, the one being built, the one that goes.

STORE/shards/        complete, because it got its name last
STORE/shards.wip/    being built: nothing reads it, the next run goes on with it
STORE/shards.old/    for an instant, while others are published; readers use it
"""

import contextlib
from pathlib import Path

from indexer.durable import PARTIAL, sync_folder
from indexer.errors import StoreDamaged, StoreError
from indexer.home import OLD, SHARDS, parse_store_name
from indexer.index_folders import INDEX_NAME, WORK_DOCUMENT, first_foreign, remove_tree
from indexer.index_folders import OLD_NAME as OLD_INDEX
from indexer.index_folders import WORK_NAME as WORK_INDEX
from indexer.index_manifest import CODER_NAME
from indexer.manifest import DECIMALS_NAME, MANIFEST_NAME, read_manifest
from indexer.shards import OLD_NAME, WORK_NAME, read_set

_OURS = {MANIFEST_NAME, CODER_NAME, WORK_DOCUMENT}
_OF_A_STORE = {MANIFEST_NAME, DECIMALS_NAME}
_INDEXES = (INDEX_NAME, WORK_INDEX, OLD_INDEX)


def publish_shards(store_folder: Path) -> Path:
    """Give the work its name. Readers of the shards before keep their maps of its files."""
    work, final, old = (store_folder / name for name in (WORK_NAME, SHARDS, OLD_NAME))
    (work / WORK_DOCUMENT).unlink()
    for lock in work.glob("*.lock"):
        lock.unlink()
    if final.exists():
        final.rename(old)
    work.rename(final)
    sync_folder(store_folder)
    remove_shards(old)
    return final


def restore_shards(store_folder: Path) -> None:
    """Finish or undo a replacement that was killed between its two renames.

    StoreError where the way is blocked by what is not ours.
    """
    old, final = store_folder / OLD_NAME, store_folder / SHARDS
    if old.exists() and not final.exists():
        old.rename(final)
    remove_shards(old)
    for folder in (old, final, store_folder / WORK_NAME):
        if folder.is_symlink():
            raise StoreError(f"{folder} is a link; remove it, or put the folder itself there")
    require_ours(old)


def hand_over_shards(old: Path, new: Path) -> None:
    """Take the shards of a store that is being replaced into the new store, or remove them.

    They are kept where they are of the very decimals of the new store, which has none yet.
    """
    restore_shards(old)
    if (old / SHARDS).is_dir() and not (new / SHARDS).exists():
        same = False
        with contextlib.suppress(StoreDamaged):
            found = read_set(old / SHARDS, "", "")
            same = found.decimals_sha256 == read_manifest(new).record.sha256
        if same:
            (old / SHARDS).rename(new / SHARDS)
            sync_folder(new)
    for name in (SHARDS, WORK_NAME):
        remove_shards(old / name)


def require_ours(folder: Path) -> None:
    """StoreError where a folder that is to be replaced holds what pilogo did not put there."""
    if foreign := _foreign(folder):
        raise StoreError(
            f"{folder} holds {foreign!r}, which pilogo did not put there and would delete; "
            "move it away and start again"
        )


def remove_shards(folder: Path) -> None:
    """Remove a set's folder with its shards; anything else in it is left, and the folder too."""
    if not folder.is_dir() or folder.is_symlink():
        return
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    for entry in sorted(folder.iterdir()):
        if _is_store(entry):
            _remove_store(entry)
        elif _is_ours(entry):
            entry.unlink(missing_ok=True)
    _remove_empty(folder)


def _remove_store(folder: Path) -> None:
    for name in _INDEXES:
        remove_tree(folder / name)
    for entry in sorted(folder.iterdir()):
        if entry.name.removesuffix(PARTIAL) in _OF_A_STORE:
            entry.unlink(missing_ok=True)
    _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _foreign(folder: Path) -> str:
    """The first thing in a set's folder that is not ours, or nothing."""
    if not folder.is_dir():
        return ""
    for entry in sorted(folder.iterdir()):
        if not _is_store(entry):
            if not _is_ours(entry):
                return entry.name
            continue
        for inner in sorted(entry.iterdir()):
            if inner.name in _INDEXES and not inner.is_symlink():
                if found := first_foreign(inner):
                    return f"{entry.name}/{inner.name}/{found}"
            elif inner.name.removesuffix(PARTIAL) not in _OF_A_STORE:
                return f"{entry.name}/{inner.name}"
    return ""


def _is_store(entry: Path) -> bool:
    """Whether it is a shard's folder, or one of work on a shard."""
    name = entry.name.removesuffix(OLD).removesuffix(".wip")
    return parse_store_name(name) is not None and entry.is_dir() and not entry.is_symlink()


def _is_ours(entry: Path) -> bool:
    lock = entry.suffix == ".lock" and parse_store_name(entry.stem) is not None
    return (lock or entry.name.removesuffix(PARTIAL) in _OURS) and not entry.is_dir()
