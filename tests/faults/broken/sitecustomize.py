"""Makes the n-th call of a kind fail, or ends the process right after it: a broken disk to order.

Python imports a module of this name when it starts, so with this folder on PYTHONPATH it is in the
program and in its child processes. What happens says PILOGO_FAULT, a JSON object; without it,
nothing:

    root      only files under this folder count
    log       a file that gets a line for each such call: process, kind, path
    process   whose calls are counted: "main", or "series", the child that computes decimals
    kind      open-read, open-write, write, fsync, rename, mkdir, unlink, mmap
    n         which call of the kind, from 1
    what      the name of an errno; "short": half the bytes are written; "kill": SIGKILL after it

Calls from C, as FAISS makes them, are not seen here.
"""

import builtins
import errno
import io
import json
import mmap
import os
import signal
import sys
import threading
from collections import Counter

_WRITING = frozenset("wxa+")
_BY_HANDLE = frozenset({"write", "fsync", "mmap"})  # the system's error then names no file
_open_handle = os.open
_write_handle = os.write
_open_file = io.open
_Map = mmap.mmap


class _Faults:
    """Counts the calls under a folder, and does to one of them what is asked."""

    def __init__(self, root, log, process="", kind="", n=0, what=""):
        self._root = root
        self._log = _open_handle(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._process = "series" if "indexer.series" in sys.orig_argv else "main"
        self._due = (process, kind, n)
        self._what = what
        self._counts = Counter()
        self._lock = threading.Lock()

    def locate(self, file):
        """The path of a file, given as a path or an open handle; None where it is not ours."""
        # not by pathlib, which itself calls what is replaced below
        try:
            path = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else file  # noqa: PTH115
        except OSError:
            return None
        path = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
        return path if path == self._root or path.startswith(self._root + os.sep) else None

    def call(self, kind, file, do, *arguments, **named):
        """do(*arguments, **named), or the fault that is due."""
        path = self.locate(file)
        if path is None:
            return do(*arguments, **named)
        with self._lock:
            self._counts[kind] += 1
            due = (self._process, kind, self._counts[kind]) == self._due
            _write_handle(self._log, f"{self._process} {kind} {path}\n".encode())
        if due and hasattr(errno, self._what):
            number = getattr(errno, self._what)
            raise OSError(number, os.strerror(number), *(() if kind in _BY_HANDLE else (path,)))
        if due and self._what == "short":
            *before, data = arguments
            data = memoryview(data).cast("B")
            return do(*before, data[: max(1, len(data) // 2)])
        try:
            return do(*arguments, **named)
        finally:  # also where the call itself fails, as mkdir of what is there
            if due and self._what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)


def _inject(faults):
    """Put counted calls in the place of Python's own."""

    class File(io.FileIO):
        def write(self, data):
            return faults.call("write", self.fileno(), super().write, data)

    class Map(_Map):
        def __new__(cls, handle, *arguments, **named):
            return faults.call("mmap", handle, _Map.__new__, cls, handle, *arguments, **named)

    def open_handle(path, flags, *arguments, **named):
        kind = "open-write" if flags & (os.O_WRONLY | os.O_RDWR) else "open-read"
        return faults.call(kind, path, _open_handle, path, flags, *arguments, **named)

    def open_writer(file, mode, buffering, text, closefd, opener):
        raw = File(file, mode.replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *text)

    def open_file(  # noqa: PLR0917 - io.open's own
        file, mode="r", buffering=-1, encoding=None, errors=None, newline=None,
        closefd=True, opener=None,
    ):  # fmt: skip
        text = (encoding, errors, newline)
        if _WRITING.isdisjoint(mode) or faults.locate(file) is None:
            kind, do = "open-read", _open_file
            arguments = (file, mode, buffering, *text, closefd, opener)
        else:
            kind, do = "open-write", open_writer
            arguments = (file, mode, buffering, text, closefd, opener)
        if isinstance(file, int):  # counted when the handle was opened
            return do(*arguments)
        return faults.call(kind, file, do, *arguments)

    def counted(kind, do):
        return lambda file, *more, **named: faults.call(kind, file, do, file, *more, **named)

    builtins.open = io.open = open_file
    mmap.mmap = Map
    os.open = open_handle
    for name, kind in {
        "write": "write",
        "fsync": "fsync",
        "rename": "rename",
        "replace": "rename",
        "mkdir": "mkdir",
        "unlink": "unlink",
        "remove": "unlink",
        "rmdir": "unlink",
    }.items():
        setattr(os, name, counted(kind, getattr(os, name)))


if "PILOGO_FAULT" in os.environ:
    _inject(_Faults(**json.loads(os.environ["PILOGO_FAULT"])))
