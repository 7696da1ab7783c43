"""Ctrl-C and SIGTERM: the first one lets the work be left in order, and within two seconds.

Python calls a handler between two steps of the main thread, which may be deep in a library for
seconds. So a thread of ours hears of every signal too, and ends the process where that takes
longer, or where a second signal comes. Stores bear that: they bear `kill -9`.
"""

import os
import select
import signal
import sys
import threading
from types import FrameType

# What leaving takes is milliseconds: flags are set, a work folder is removed.
_GRACE_SECONDS = 1.5


_heard: list[int] = []


class Terminated(SystemExit):
    """SIGTERM, raised in the main thread."""


def _say_ended(signum: int) -> str:
    return "interrupted" if signum == signal.SIGINT else "terminated"


def listen() -> None:
    """Handle both signals from here on; call it once, in the main thread."""

    def handle(signum: int, frame: FrameType | None) -> None:
        if _heard:  # the thread ends the process
            return
        _heard.append(signum)
        sys.unraisablehook = lambda unraisable: None  # it may be raised where nobody catches it
        raise_heard()

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, handle)
    if os.name == "posix":
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(read,), daemon=True).start()


def raise_heard() -> None:
    """Raise what the signal that was heard stands for, if one was.

    For who handles an error: libraries make errors of their own of what is raised inside them.
    """
    if _heard and _heard[0] == signal.SIGINT:
        raise KeyboardInterrupt
    if _heard:
        raise Terminated(128 + _heard[0])


def ignore() -> None:
    """Hear no more signals: the work is done, and the process ends in a moment."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    if os.name == "posix":
        signal.set_wakeup_fd(-1)


def _watch(read: int) -> None:
    """End the process after the second signal, or some time after the first."""
    while (first := os.read(read, 1)[0]) not in {signal.SIGINT, signal.SIGTERM}:
        pass
    select.select([read], [], [], _GRACE_SECONDS)
    os.write(2, f"pilogo: {_say_ended(first)}\n".encode())
    os._exit(128 + first)
