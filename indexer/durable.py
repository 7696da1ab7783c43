"""Files that are whole or not there: a temporary name, sync, size, rename, sync of the folder."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from indexer.errors import PilogoError, ResourceError, StoreError, reason

PARTIAL = ".tmp"


class NewFile:
    """A file being written; n_bytes have been taken."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.n_bytes = 0

    def write(self, content: "bytes | memoryview") -> None:
        """Append bytes."""
        self._file.write(content)
        self.n_bytes += len(content)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A file that gets its name when the block is left without an error, and else leaves nothing.

    A file of that name is replaced: who has it open or mapped keeps it as it was. Raises OSError.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        partial.unlink(missing_ok=True)  # a link would be written through
        with partial.open("xb") as file:
            made = NewFile(file)
            yield made
            file.flush()
            os.fsync(file.fileno())
            found = os.fstat(file.fileno()).st_size
        if found != made.n_bytes:  # a full disk that did not say so
            raise OSError(errno.ENOSPC, f"{found} of {made.n_bytes} bytes arrived", str(path))
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a small file. Raises OSError."""
    with new_file(path) as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last; only POSIX can open a folder to sync it."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
        if error.errno == errno.ENOMEM:
            raise ResourceError(
                f"{where}: {reason(error)}; free memory, or raise the limit (ulimit -v)"
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(
                f"{where}: {reason(error)}; {folder} must be yours to write, or name another --home"
            ) from None
        raise StoreError(f"{where}: {reason(error)}; is the disk of {folder} sound?") from None
