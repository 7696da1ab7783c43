"""One line on standard error that says how far a long job is."""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from indexer.progress import Progress, Step, silent


class _ProgressLine:
    """One line on standard error about the latest Step, drawn at most so often."""

    _ON_TERMINAL = 1 / 8
    _ELSEWHERE = 3.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._interval = self._ON_TERMINAL if self._terminal else self._ELSEWHERE
        self._stage = ""
        self._since = self._drawn = time.monotonic()
        self._first = 0.0
        self._ended = False

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        begins = step.stage != self._stage
        if begins:
            self._stage, self._since, self._first = step.stage, now, step.done
            self._ended = False
        # the end of a stage is always drawn, and once: a log must not stop at 97 %
        ends = 0 < step.total <= step.done and not self._ended
        self._ended = self._ended or ends
        if begins or ends or now - self._drawn >= self._interval:
            self._drawn = now
            self._draw(self._words(step, now - self._since))

    def _words(self, step: Step, seconds: float) -> str:
        words = [f"{step.stage:<8}"]
        if step.total:
            words.append(f"{100 * min(step.done / step.total, 1):3.0f} %")
        if step.unit != "%":
            total = f"/{step.total:,.0f}" if step.total else ""
            words.append(f"{step.done:,.0f}{total} {step.unit}")
        # not the whole done: a stage may begin with something done already
        rate = (step.done - self._first) / seconds if seconds > 0.5 else 0.0
        if rate > 0 and step.unit != "%":
            words.append(f"{rate:,.0f}/s")
        if rate > 0 and step.total:
            left = int(max(0.0, step.total - step.done) / rate)
            words.append(f"{left // 60}:{left % 60:02d} left")
        return "  ".join(words)

    def _draw(self, text: str) -> None:
        if not self._terminal:
            self._write(text + "\n")
            return
        width = shutil.get_terminal_size().columns - 1
        self._write("\r" + text[:width] + "\x1b[K")

    def _write(self, text: str) -> None:
        # a closed standard error must not end the work
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def close(self) -> None:
        """Take the line away."""
        if self._terminal and self._stage:
            self._write("\r\x1b[K")


@contextlib.contextmanager
def draw_progress(enabled: bool) -> Iterator[Progress]:
    """A callback for Steps that draws one line on standard error, gone at the end."""
    if not enabled:
        yield silent
        return
    line = _ProgressLine(sys.stderr)
    try:
        yield line
    finally:
        line.close()
