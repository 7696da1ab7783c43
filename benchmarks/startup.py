"""How long whole commands take from the shell: a new process each time, output into a pipe.

`python -c pass` is the floor. The file system's cache is warm: each command runs once before it
is timed. Where numba is installed, one trivial function loaded from its cache is timed too: the
scan is compiled by LLVM directly, at every start, because that is faster.
"""

import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
from machine import describe, print_machine, run

from indexer.digits import list_stores
from indexer.errors import StoreMissing
from indexer.options import home_option
from indexer.packaged import data_file

# Sizes whose start is of interest, and the seconds asked at most, where anything is asked.
_SIZES = {10**7: 0.7, 10**9: None}
_HELP = 0.15
# With a signature numba compiles or loads at the import.
_NUMBA = """import numba

@numba.njit("int64(int64)", cache=True)
def successor(n):
    return n + 1
"""


@dataclass(frozen=True)
class Case:
    """One command line and what is asked of it."""

    name: str
    command: list[str]
    asked: float | None

    def once(self) -> float:
        """Seconds from the start of the process to its end. RuntimeError where it fails."""
        began = time.perf_counter()
        done = subprocess.run(self.command, capture_output=True, check=False)
        seconds = time.perf_counter() - began
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise RuntimeError(f"{self.name}: exit code {done.returncode}: {said[:500]}")
        return seconds


def pilogo() -> list[str]:
    """The console script beside this interpreter, or what it does."""
    script = Path(sys.executable).with_name("pilogo")
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-c", "from query.entry import main; main()"]


def make_cases(home: Path) -> list[Case]:
    """The floor, the help, and a search of each size of which there is a store."""
    program = pilogo()
    cases = [
        Case("python -c pass", [sys.executable, "-c", "pass"], None),
        Case("pilogo --help", [*program, "--help"], _HELP),
    ]
    have = {store.n for store in list_stores(home) if store.constant == "pi"}
    logo = str(data_file("soundcloud.png"))
    for n, asked in _SIZES.items():
        if any(size >= n for size in have):
            options = ["--home", str(home), "--digits", str(n), "--no-progress"]
            name = f"pilogo find soundcloud.png, {n:.0e}".replace("e+0", "e")
            cases.append(Case(name, [*program, "find", logo, *options], asked))
    if len(cases) == 2:
        raise StoreMissing(f"no store of 10,000,000 decimals in {home}; pilogo digits compute 1e7")
    return cases


def make_compilers(folder: Path) -> list[Case]:
    """What it takes to have the scan's code, and to have one function of numba's from its cache."""
    compile_scan = "from query.kernels import load_kernel; load_kernel()"
    cases = [Case("the scan, compiled", [sys.executable, "-c", compile_scan], None)]
    if importlib.util.find_spec("numba"):
        (folder / "one_function.py").write_text(_NUMBA, "utf-8")
        load = f"import sys; sys.path.insert(0, {str(folder)!r}); import one_function"
        cases.append(Case("numba, one cached function", [sys.executable, "-c", load], None))
    return cases


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--repeat", type=click.IntRange(1, 1000), default=21, show_default=True)
@home_option
def main(repeat: int, home: Path) -> None:
    """Time the commands, in turns."""
    machine = describe()
    with tempfile.TemporaryDirectory(prefix="pilogo-") as folder:
        cases = make_cases(home) + make_compilers(Path(folder))
        for case in cases:
            case.once()
        seconds: list[list[float]] = [[] for _ in cases]
        for _ in range(repeat):
            for case, times in zip(cases, seconds, strict=True):
                times.append(case.once())
    print_machine(machine)
    print(f"{'':34} {'median s':>9} {'min s':>8} {'max s':>8}  asked")
    for case, times in zip(cases, seconds, strict=True):
        median = statistics.median(times)
        verdict = ""
        if case.asked is not None:
            verdict = f"<= {case.asked:g} {'met' if median <= case.asked else 'NOT MET'}"
        print(f"{case.name:34} {median:9.3f} {min(times):8.3f} {max(times):8.3f}  {verdict}")


if __name__ == "__main__":
    run(main)
