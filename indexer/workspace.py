"""Where a store is made: one folder under a lock, published by one rename.

HOME/pi-1000.lock   held while anything is being made
HOME/pi-1000.wip/   the work; nothing reads it, the next run clears it
HOME/pi-1000/       complete, because it got its name last
HOME/pi-1000.old/   for an instant, while a store is being replaced on request
"""

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from indexer.errors import PilogoError, ResourceError, StoreBusy, StoreError, reason
from indexer.index_files import hand_over_index
from indexer.manifest import DECIMALS_NAME, MANIFEST_NAME, Manifest, write_manifest

_HOLDER_NAME = "holder.json"
_OURS = {DECIMALS_NAME, MANIFEST_NAME, MANIFEST_NAME + ".tmp", _HOLDER_NAME}
_LOCK_SECONDS = 0.5


@contextlib.contextmanager
def translated_os_errors(folder: Path) -> Iterator[None]:
    """Turn a failing call of the operating system under folder into our one-line errors."""
    try:
        yield
    except PilogoError:
        raise
    except OSError as error:
        where = error.filename or folder
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"{where}: the disk is full ({reason(error)}); free some, or use another --home"
            ) from None
        raise StoreError(
            f"{where}: {reason(error)}; is {folder} (--home or PILOGO_HOME) yours?"
        ) from None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last; only POSIX can open a folder to sync it."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear(folder: Path) -> None:
    """Remove a folder of ours; refuses when it holds anything that we did not write."""
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
        _clear(old)


class Workspace:
    """A locked folder HOME/<name>.wip to make a store in; use as a context manager.

    StoreBusy where another process holds the lock. Leaving without publish() removes the work;
    being killed leaves it for the next run to clear.
    """

    def __init__(self, home: Path, name: str, doing: str) -> None:
        self._home = home
        self._doing = doing
        self.folder = home / f"{name}.wip"
        self.decimals = self.folder / DECIMALS_NAME
        self._locks = contextlib.ExitStack()
        self._name = name

    def __enter__(self) -> "Workspace":
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._locks.close)
            self._home.mkdir(parents=True, exist_ok=True)
            self._lock(self._name)
            self._restore(self._name)
            _clear(self.folder)
            self.folder.mkdir()
            holder = {"pid": os.getpid(), "doing": self._doing, "since": time.time()}
            (self.folder / _HOLDER_NAME).write_text(json.dumps(holder), "utf-8")
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

    def _lock(self, name: str) -> None:
        lock = FileLock(self._home / f"{name}.lock")
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            raise StoreBusy(
                f"{self._home / name} is being made by {self._holder(name)}; wait for it to end"
            ) from None
        self._locks.callback(lock.release)

    def _holder(self, name: str) -> str:
        """Who holds the lock, as far as can be told."""
        try:
            with (self._home / f"{name}.wip" / _HOLDER_NAME).open("rb") as file:
                holder = json.loads(file.read(1000))
            return f"process {int(holder['pid'])} ({str(holder['doing'])[:80]})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _restore(self, name: str) -> None:
        """Finish or undo a replacement that was killed between its two renames."""
        old, final = self._home / f"{name}.old", self._home / name
        if old.exists() and not final.exists():
            old.rename(final)
        _retire(old, final)

    def publish(self, manifest: Manifest, *, replace: bool) -> Path:
        """Give the work its name; StoreBusy where the name is taken, unless told to replace.

        The caller has synced the decimals.
        """
        name = f"{manifest.constant}-{manifest.n}"
        if name != self._name:
            self._lock(name)
            self._restore(name)
        final, old = self._home / name, self._home / f"{name}.old"
        if final.exists() and not replace:
            raise StoreBusy(f"{final} has just been made by another process; ask again")
        (self.folder / _HOLDER_NAME).unlink()
        write_manifest(self.folder, manifest)
        sync_folder(self.folder)
        if final.exists():
            final.rename(old)
        self.folder.rename(final)
        sync_folder(self._home)
        _retire(old, final)
        return final
