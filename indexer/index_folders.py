"""The folders of an index: the one in use, the one being built, the one that goes.

STORE/index/        complete, because it got its name last
STORE/index.wip/    being built: nothing reads it, the next run goes on with it
STORE/index.old/    for an instant, while another one is published; readers use it
"""

import contextlib
import os
from pathlib import Path

from indexer.durable import PARTIAL, sync_folder
from indexer.errors import StoreDamaged, StoreError
from indexer.index_manifest import (
    CODER_NAME,
    FAISS_NAME,
    LISTS_NAME,
    MANIFEST_NAME,
    read_index_manifest,
)
from indexer.manifest import read_manifest

INDEX_NAME = "index"
WORK_NAME = "index.wip"
OLD_NAME = "index.old"
WORK_DOCUMENT = "work.json"
_OURS = {MANIFEST_NAME, CODER_NAME, FAISS_NAME, LISTS_NAME, WORK_DOCUMENT}


def index_folder(store_folder: Path) -> Path | None:
    """The folder of the index in use; None where there is none."""
    for name in (INDEX_NAME, OLD_NAME):
        folder = store_folder / name
        if folder.is_dir() and (name == INDEX_NAME or (folder / MANIFEST_NAME).is_file()):
            return folder
    return None


def is_half_built(store_folder: Path) -> bool:
    """Whether a store's index was begun and not finished."""
    return index_folder(store_folder) is None and (store_folder / WORK_NAME).is_dir()


def publish_index(store_folder: Path) -> None:
    """Give the work its name. Readers of the index before keep their maps of its files."""
    work, final, old = (store_folder / name for name in (WORK_NAME, INDEX_NAME, OLD_NAME))
    if final.exists():
        final.rename(old)
    work.rename(final)
    (final / WORK_DOCUMENT).unlink()
    sync_folder(store_folder)
    remove_tree(old)


def restore_index(store_folder: Path) -> None:
    """Finish or undo a replacement that was killed between its two renames.

    StoreError where the way is blocked by what is not ours.
    """
    old, final = store_folder / OLD_NAME, store_folder / INDEX_NAME
    if old.exists() and not final.exists():
        old.rename(final)
    remove_tree(old)
    for folder in (old, final, store_folder / WORK_NAME):
        if folder.is_symlink():
            raise StoreError(f"{folder} is a link; remove it, or put the folder itself there")
    (final / WORK_DOCUMENT).unlink(missing_ok=True)
    if old.exists():
        raise StoreError(
            f"{old} holds {first_foreign(old)!r}, which pilogo did not put there; "
            "move it away and start again"
        )


def require_writable(store_folder: Path) -> None:
    """StoreError where a store that may be replaced could then not be removed."""
    for folder in (store_folder, store_folder / INDEX_NAME, store_folder / WORK_NAME):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise StoreError(
                f"{folder}: Permission denied; it must be yours to write, or use another --home"
            )


def require_ours(folder: Path) -> None:
    """StoreError where a folder that is to be replaced holds what pilogo did not put there."""
    foreign = first_foreign(folder)
    if foreign:
        raise StoreError(
            f"{folder} holds {foreign!r}, which pilogo did not put there and would delete; "
            "move it away and start again"
        )


def hand_over_index(old: Path, new: Path) -> None:
    """Take the index of a store that is being replaced into the new store, or remove it.

    It is kept where it is of the very decimals of the new store, which has none yet: a store is
    often made again because its decimals were damaged. What is half built is removed.
    """
    restore_index(old)
    if (old / INDEX_NAME).is_dir() and not (new / INDEX_NAME).exists():
        same = False
        with contextlib.suppress(StoreDamaged):
            manifest = read_index_manifest(old / INDEX_NAME, "")
            same = manifest.decimals_sha256 == read_manifest(new).record.sha256
        if same:
            (old / INDEX_NAME).rename(new / INDEX_NAME)
            sync_folder(new)
    for name in (INDEX_NAME, WORK_NAME):
        remove_tree(old / name)


def remove_tree(folder: Path) -> None:
    """Remove a folder of index files of ours; anything else in it is left, and the folder too.

    The manifest goes first: from then on nobody takes it for an index.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    for entry in sorted(folder.iterdir()):
        if _is_shard(entry):
            remove_tree(entry)
        elif _is_ours(entry.name):
            entry.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def first_foreign(folder: Path) -> str:
    """The first thing in an index's folder that is not ours, or nothing."""
    if not folder.is_dir():
        return ""
    for entry in sorted(folder.iterdir()):
        if _is_shard(entry):
            if inner := first_foreign(entry):
                return f"{entry.name}/{inner}"
        elif not _is_ours(entry.name):
            return entry.name
    return ""


def _is_shard(entry: Path) -> bool:
    """Whether it is a folder that indexes of version 2 have: they can be replaced."""
    return entry.name.startswith("shard-") and entry.is_dir() and not entry.is_symlink()


def _is_ours(name: str) -> bool:
    stem = name.removesuffix(PARTIAL)
    return stem in _OURS or (stem.startswith("part-") and stem.endswith(".bin"))
