"""The lock of a store: one process at a time makes, replaces or indexes it.

HOME/pi-1000.lock is locked by the kernel, so the lock dies with its process; the file stays.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from indexer.errors import StoreBusy

# Long enough for someone's look at a store that is there already.
_SECONDS = 0.2


@contextlib.contextmanager
def locked(home: Path, name: str) -> Iterator[None]:
    """Hold the lock of a store; StoreBusy, saying who holds it, where another process does."""
    path = home / f"{name}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_SECONDS, poll_interval=_SECONDS / 4)
    except Timeout:
        raise StoreBusy(
            f"{home / name} is being made or indexed by {_holder(path)}; wait for it to end"
        ) from None
    try:
        yield
    finally:
        lock.release()


def can_lock(home: Path, name: str) -> bool:
    """Whether this user may take the lock of a store: not where its home is only to be read."""
    path = home / f"{name}.lock"
    return os.access(path if path.exists() else home, os.W_OK)


def refuse_if_locked(home: Path, name: str) -> None:
    """StoreBusy where another process holds the lock now; nothing is made."""
    if (home / f"{name}.lock").exists():
        with contextlib.suppress(OSError), locked(home, name):
            pass


def _holder(path: Path) -> str:
    """Who holds a lock, as far as the kernel tells."""
    try:
        status = path.stat()
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            fields = line.split()
            if device in fields and fields[1] != "->":
                return f"process {int(fields[fields.index(device) - 1])}"
    except (OSError, ValueError, AttributeError):
        pass
    return "another process"
