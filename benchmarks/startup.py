"""How long whole commands take from the shell: a new process each time, output into a pipe.

`python -c pass` is the floor. The file system's cache is warm: each command runs once before it
is timed. The two searches are of the first 10^7 decimals and of the first --digits, in the stores
that `find` chooses for them. Where numba is installed, one trivial function loaded from its cache
is timed too: the scan is compiled by LLVM directly, at every start, because that is faster.
"""

import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from indexer.digits import choose_store
from indexer.options import Count, home_option, threads_option
from indexer.packaged import data_file
from measuring.machine import describe, json_option, print_machine, run
from measuring.record import INDEX, SCAN, START, save

# Seconds asked at most: of the help, and of a search of the default size.
_HELP = 0.15
_FIND = {10**7: 0.7}
# With a signature numba compiles or loads at the import.
_NUMBA = """import numba

@numba.njit("int64(int64)", cache=True)
def successor(n):
    return n + 1
"""


@dataclass(frozen=True)
class Case:
    """One command line and what is asked of it."""

    key: str
    name: str
    command: list[str]
    asked: float | None = None

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


def make_cases(home: Path, n: int, threads: int) -> list[Case]:
    """The floor, the help, and searches of 10^7 and of n decimals."""
    program = pilogo()
    cases = [
        Case("python", "python -c pass", [sys.executable, "-c", "pass"]),
        Case("help", "pilogo --help", [*program, "--help"], _HELP),
    ]
    logo = str(data_file("soundcloud.png"))
    for size in sorted({min(n, 10**7), n}):
        choose_store(home, size)  # StoreMissing says how to make one
        options = ["--home", str(home), "--digits", str(size), "--no-progress"]
        command = [*program, "find", logo, *options, "--threads", str(threads)]
        name = f"pilogo find soundcloud.png, {size:.0e}".replace("e+0", "e")
        key = "find" if size == n else "find 1e7"
        cases.append(Case(key, name, command, _FIND.get(size)))
    return cases


def make_compilers(folder: Path) -> list[Case]:
    """What it takes to have the scan's code, and to have one function of numba's from its cache."""
    compile_scan = "from query.kernels import load_kernel; load_kernel()"
    cases = [Case("compile", "the scan, compiled", [sys.executable, "-c", compile_scan])]
    if importlib.util.find_spec("numba"):
        (folder / "one_function.py").write_text(_NUMBA, "utf-8")
        load = f"import sys; sys.path.insert(0, {str(folder)!r}); import one_function"
        cases.append(Case("numba", "numba, one cached function", [sys.executable, "-c", load]))
    return cases


def print_table(cases: list[Case], seconds: dict[str, list[float]]) -> None:
    """A row a command line, with what is asked of it."""
    print(f"{'':34} {'median s':>9} {'min s':>8} {'max s':>8}  asked")
    for case in cases:
        times = seconds[case.key]
        median = statistics.median(times)
        verdict = ""
        if case.asked is not None:
            verdict = f"<= {case.asked:g} {'met' if median <= case.asked else 'NOT MET'}"
        print(f"{case.name:34} {median:9.3f} {min(times):8.3f} {max(times):8.3f}  {verdict}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10_000), default=10**9, show_default="1e9", metavar="N")
@click.option("--repeat", type=click.IntRange(1, 1000), default=21, show_default=True)
@json_option
@home_option
@threads_option
def main(**options: Any) -> None:
    """Time the commands, in turns."""
    n, repeat = options["digits"], options["repeat"]
    machine = describe()
    with tempfile.TemporaryDirectory(prefix="pilogo-") as folder:
        cases = make_cases(options["home"], n, options["threads"]) + make_compilers(Path(folder))
        for case in cases:
            case.once()
        seconds: dict[str, list[float]] = {case.key: [] for case in cases}
        for turn in range(repeat):
            for case in cases:
                seconds[case.key].append(case.once())
            click.echo(f"round {turn + 1} of {repeat} done", err=True)
    print_machine(machine)
    print_table(cases, seconds)
    if options["json_file"]:
        rows = [
            {
                "key": case.key,
                "name": case.name,
                "seconds": seconds[case.key],
                "median": statistics.median(seconds[case.key]),
                "asked": case.asked,
            }
            for case in cases
        ]
        question = {"digits": n, "repeat": repeat, "threads": options["threads"]}
        modules = (*START, *SCAN, *INDEX)
        save(options["json_file"], "startup", question, {"rows": rows}, modules, machine)


if __name__ == "__main__":
    run(main)
