"""Where a store is made: one folder under a lock, published by one rename.

HOME/pi-1000.lock   held while anything is being made
HOME/pi-1000.wip/   the work; nothing reads it, the next run clears it
HOME/pi-1000/       complete, because it got its name last
HOME/pi-1000.old/   for an instant, while a store is being replaced on request; readers use it
"""

import contextlib
from pathlib import Path
from types import TracebackType

from indexer.durable import PARTIAL, sync_folder
from indexer.errors import StoreBusy, StoreError
from indexer.home import OLD, StoreName
from indexer.index_folders import hand_over_index, require_writable
from indexer.locks import locked
from indexer.manifest import DECIMALS_NAME, MANIFEST_NAME, Manifest, write_manifest
from indexer.shard_folders import hand_over_shards

_OURS = {DECIMALS_NAME, MANIFEST_NAME, MANIFEST_NAME + PARTIAL}


def _clear(folder: Path) -> None:
    """Remove a folder of ours; refuses when it holds anything that we did not write."""
    if folder.is_symlink():
        raise StoreError(f"{folder} is a link, which pilogo did not make; remove it")
    if not folder.exists():
        return
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in _OURS)
    if foreign:
        raise StoreError(
            f"{folder} holds {foreign[0]!r}, which pilogo did not put there; "
            "move it away and start again"
        )
    for name in _OURS:
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()


def _retire(old: Path, new: Path) -> None:
    """Remove a store that was replaced; its index goes to the new one if it is of its decimals."""
    if old.exists():
        hand_over_index(old, new)
        hand_over_shards(old, new)
        _clear(old)


class Workspace:
    """A locked folder HOME/<name>.wip to make a store in; use as a context manager.

    StoreBusy where another process holds the lock. Leaving without publish() removes the work;
    being killed leaves it for the next run to clear.
    """

    def __init__(self, home: Path, name: str) -> None:
        self._home = home
        self.folder = home / f"{name}.wip"
        self.decimals = self.folder / DECIMALS_NAME
        self._locks = contextlib.ExitStack()
        self._name = name

    def __enter__(self) -> "Workspace":
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._locks.close)
            self._home.mkdir(parents=True, exist_ok=True)
            self._locks.enter_context(locked(self._home, self._name))
            restore_store(self._home, self._name)
            require_writable(self._home / self._name)
            _clear(self.folder)
            self.folder.mkdir()
            on_failure.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            _clear(self.folder)
        finally:
            self._locks.close()

    def publish(self, manifest: Manifest, *, replace: bool) -> Path:
        """Give the work its name; StoreBusy where the name is taken, unless told to replace.

        The caller has synced the decimals.
        """
        name = str(StoreName(manifest.constant, manifest.n, manifest.first_offset))
        if name != self._name:
            self._locks.enter_context(locked(self._home, name))
            restore_store(self._home, name)
            require_writable(self._home / name)
        final, old = self._home / name, self._home / f"{name}{OLD}"
        if final.exists() and not replace:
            raise StoreBusy(f"{final} has just been made by another process; ask again")
        write_manifest(self.folder, manifest)
        if final.exists():
            final.rename(old)
        self.folder.rename(final)
        sync_folder(self._home)
        _retire(old, final)
        return final


def restore_store(home: Path, name: str) -> None:
    """Finish or undo a replacement that was killed between its two renames; the lock is held."""
    old, final = home / f"{name}{OLD}", home / name
    if old.is_symlink():
        raise StoreError(f"{old} is a link, which pilogo did not make; remove it")
    if old.exists() and not final.exists():
        old.rename(final)
    _retire(old, final)
