"""What every benchmark needs: the machine's description, decimals in memory, C code, timing."""

import ctypes
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.digits import choose_store
from indexer.errors import PilogoError, ResourceError
from indexer.resources import gigabytes, require_memory, usable_threads
from query.plan import aligned

HERE = Path(__file__).parent.parent
json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write all figures there.",
)
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_GCC = ("gcc", "-O3", "-march=native", "-shared", "-fPIC")


@dataclass
class Job:
    """Something to time: `work` says what it found, over `digits` decimals, `repeat` times."""

    name: str
    work: Callable[[], Any]
    digits: int
    repeat: int
    seconds: list[float] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """The least of the seconds."""
        return min(self.seconds)


def alternate(jobs: Sequence[Job], *, quiet: bool = False) -> None:
    """Time all jobs, round by round, so that a slow moment of the machine falls on all of them."""
    for turn in range(max(job.repeat for job in jobs)):
        for job in jobs:
            if turn < job.repeat:
                began = time.perf_counter()
                answer = job.work()
                job.seconds.append(time.perf_counter() - began)
                job.answers.append(answer)
        if not quiet:
            click.echo(f"round {turn + 1} done", err=True)


def load_digits(home: Path, n: int) -> NDArray[np.uint8]:
    """The first n decimals of π of a home in memory: uint8[n] ASCII, 64-byte aligned.

    It is the store's own file, mapped as the program maps it, and read once so that it is in the
    page cache. Only a file used in place, whose decimals begin anywhere, is copied.
    """
    require_memory(n, f"{n:,} decimals in memory")
    stored = choose_store(home, n).open(n)
    if stored.ctypes.data % 64 == 0:
        stored.max()
        return stored
    digits = aligned(n)
    digits[:] = stored
    return digits


def compile_c(source: str) -> ctypes.CDLL:
    """The library that gcc makes of a C file of this folder; nothing is left on disk.

    Raises ResourceError where gcc is missing or fails.
    """
    gcc = shutil.which(_GCC[0])
    if gcc is None:
        raise ResourceError("gcc is not there; this benchmark compares with C: install gcc")
    with tempfile.TemporaryDirectory(prefix="pilogo-") as folder:
        library = Path(folder) / "library.so"
        command = [gcc, *_GCC[1:], "-o", str(library), str(HERE / source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ResourceError(f"gcc cannot compile {source}: {done.stderr.strip()[:500]}")
        return ctypes.CDLL(str(library))  # mapped: it lives on without its file


def address(array: NDArray[Any]) -> ctypes.c_void_p:
    """The pointer to pass to C; the caller keeps the array alive."""
    return ctypes.c_void_p(array.ctypes.data)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, up to 1 GB, where it is glibc.

    Else arrays of some 100 KB to 32 MB are given back and come anew, page by page, each time NumPy
    makes one: an FFT by blocks takes twice as long.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest allowed
        library.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
    except (OSError, AttributeError):
        return


def describe() -> dict[str, str]:
    """What was measured, on what, with which versions."""
    return {
        "processor": _processor(),
        "threads usable": str(usable_threads()),
        "memory": gigabytes(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
        "system": platform.platform(),
        "python": platform.python_version(),
        "gcc": _first_line("gcc", "--version"),
        "gcc -march=native": _gcc_target(),
        "numpy": version("numpy"),
        "llvmlite": version("llvmlite"),
        "commit": _commit(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def print_machine(machine: dict[str, str]) -> None:
    """The description, a line for each fact, and a warning where the machine is not quiet."""
    for name, value in machine.items():
        print(f"{name:18} {value}")
    if float(machine["load before"]) > 0.5:
        print("warning: something else is running; these times say little")
    print()


def run(command: click.Command) -> None:
    """Run a benchmark's command line; our own errors are one line and their exit code."""
    try:
        command.main()
    except PilogoError as error:
        click.echo(f"{Path(sys.argv[0]).name}: {error}", err=True)
        sys.exit(error.exit_code)


def _processor() -> str:
    """The model as the kernel names it, and family and model numbers, which hypervisors leave."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n", 1)[0].splitlines()
    except OSError:
        return platform.processor() or "unknown"
    facts = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    name = facts.get("model name", platform.machine())
    if "cpu family" not in facts:
        return name
    return f"{name}, family {facts['cpu family']} model {facts.get('model', '?')}"


def _first_line(*command: str) -> str:
    """The first line that a program prints; "not there" where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE)
    except (OSError, subprocess.CalledProcessError):
        return "not there"
    return (done.stdout.splitlines() or [""])[0]


def _gcc_target() -> str:
    """What gcc takes this processor for; an old gcc takes a new processor for an older one."""
    try:
        done = subprocess.run(
            ["gcc", "-march=native", "-Q", "--help=target"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "not there"
    found = [
        line.split() for line in done.stdout.splitlines() if line.strip().startswith("-march=")
    ]
    return found[0][-1] if found else "unknown"


def _commit() -> str:
    commit = _first_line("git", "rev-parse", "--verify", "--quiet", "HEAD")
    if commit == "not there":
        return commit
    # Results and the documents made from them are no change of what is measured.
    code = (":(top)*.py", ":(top)*.c", ":(top)data", ":(top)pyproject.toml")
    changed = _first_line("git", "status", "--porcelain", "--untracked-files=no", "--", *code)
    return commit + (" with changes" if changed else "")
