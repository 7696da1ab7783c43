"""Running the program as people do, and counting the cases of a fault."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SMALL = 2_000_000  # decimals of the small store
PROGRAM = Path(sys.executable).with_name("pilogo")
CODES = {0, 1, 2, 3, 4, 130, 143}


@dataclass
class Tally:
    """Cases of one fault: how many were tried, and what each one that did not pass said."""

    item: int
    tried: int = 0
    failed: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def case(self, label: object) -> Iterator[None]:
        """One case: an exception inside is a failure, told at the end; the next case goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the case did not pass
            with self._lock:
                self.failed.append(f"{label}: {type(error).__name__}: {error}"[:2000])
        with self._lock:
            self.tried += 1


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code (negative: a signal), what it printed, seconds it took."""

    code: int
    out: str
    err: str
    seconds: float

    def assert_clean(self) -> None:
        """No traceback, no signal; an error is one line on standard error."""
        told = [line for line in self.err.splitlines() if line.startswith("pilogo: ")]
        assert "Traceback" not in self.err, self.err
        assert "Exception ignored" not in self.err, self.err
        assert self.code in CODES, (self.code, self.err)
        if self.code not in {0, 1}:
            assert len(told) == 1, self.err


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a command: its home, and nothing of the one that runs the tests."""
    kept = {name: text for name, text in os.environ.items() if name != "PILOGO_HOME"}
    return {**kept, "PILOGO_HOME": str(home), **more}


def run(home: Path, *arguments: str, timeout: float = 120, **more: str) -> Outcome:
    """Run `pilogo ARGUMENTS` with PILOGO_HOME=home and more environment."""
    began = time.monotonic()
    done = subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        timeout=timeout,
        check=False,
        env=environment(home, **more),
        stdin=subprocess.DEVNULL,
    )
    seconds = time.monotonic() - began
    texts = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return Outcome(done.returncode, *texts, seconds)
