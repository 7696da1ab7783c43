"""A real server for the tests of the API and of the page."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("pilogo")


@contextlib.contextmanager
def serving(home: Path, *arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """(address, process) of `pilogo serve` over the largest store of a home."""
    process = subprocess.Popen(
        [PROGRAM, "serve", "--port", "0", "--home", str(home), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process.stdout.readline().strip().rstrip("/"), process
    finally:
        process.terminate()
        _, told = process.communicate(timeout=10)
    assert "a bug" not in told, told
    assert "Traceback" not in told, told
