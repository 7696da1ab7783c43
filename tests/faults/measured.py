"""A command's seconds and its most memory, held against bounds."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import TypeVar

from indexer.window import WINDOW
from program import Outcome, environment

Case = TypeVar("Case")

MEMORY = 300_000_000

# Linux counts what the parent had before exec into ru_maxrss: a parent with next to nothing.
_SMALL_PARENT = """
import os, sys, time
began = time.monotonic()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
seconds = time.monotonic() - began
with open(sys.argv[1], "w") as file:
    processor = used.ru_utime + used.ru_stime
    print(os.waitstatus_to_exitcode(status), seconds, processor, used.ru_maxrss, file=file)
"""
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere


@dataclass(frozen=True)
class Measured(Outcome):
    """How a command ended; the processor's seconds in it and its children, and the peak in bytes.

    The peak is the most memory that one of them held at once.
    """

    processor: float
    peak: int

    def is_within(self, seconds: float) -> bool:
        """Whether it took no longer; up to twice as long where others had the processor."""
        return self.seconds < seconds or (self.seconds < 2 * seconds and self.processor < seconds)

    def assert_within(self, seconds: float) -> None:
        """It took no longer than that, and no more memory than a picture may."""
        taken = f"{self.seconds:.2f} s, {self.processor:.2f} s of a processor, {self.peak:,} bytes"
        assert self.is_within(seconds), taken
        assert self.peak < MEMORY, taken

    def assert_refused(self, name: str) -> None:
        """Exit code 3 and one line that names the file; nothing on standard output."""
        self.assert_clean()
        assert (self.code, self.out) == (3, ""), (self.code, self.out, self.err)
        assert self.err.count("\n") == 1, self.err
        assert name in self.err, self.err

    def assert_read(self, digits: str) -> None:
        """The digits and nothing else."""
        found = (self.code, self.out, self.err)
        assert found == (0, digits + "\n", ""), found

    def assert_read_or_refused(self, name: str) -> None:
        """84 digits and nothing else, or as assert_refused."""
        if self.code:
            self.assert_refused(name)
        else:
            self.assert_read(self.out[:WINDOW])
            assert re.fullmatch(rf"\d{{{WINDOW}}}\n", self.out), self.out


def measure(folder: Path, *command: str | Path, seconds: float) -> Measured:
    """Run a command in a folder; killed after 5 times the seconds it may take.

    Asked again, at most twice, where it took too long: the machine may have been busy.
    """
    for _ in range(3):
        measured = _measure_once(folder, command, 5 * seconds)
        if measured.is_within(seconds):
            break
    return measured


def _measure_once(folder: Path, command: Iterable[str | Path], most: float) -> Measured:
    notes = folder / "measured"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _SMALL_PARENT, notes, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(folder / "no home"),
        cwd=folder,
        start_new_session=True,
    ) as parent:
        try:
            texts = [text.decode("utf-8", "replace") for text in parent.communicate(timeout=most)]
        except subprocess.TimeoutExpired:
            os.killpg(parent.pid, SIGKILL)
            raise AssertionError(f"not done after {most:g} s") from None
    code, took, processor, peak = notes.read_text().split()
    return Measured(int(code), *texts, float(took), float(processor), int(peak) * _RSS_UNIT)


def some(cases: Iterable[Case], full: bool, count: int) -> list[Case]:
    """All cases in the full run; otherwise so many of them, evenly spread."""
    every = list(cases)
    return every if full else every[:: -(-len(every) // count)]


def write(folder: Path, name: str, content: bytes) -> Path:
    """The file of that name, written."""
    file = folder / name
    file.write_bytes(content)
    return file
