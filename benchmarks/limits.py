"""What one core of this machine can do at best, beside which the routines stand.

Instructions on vectors of 64 bytes that wait for nothing; look-ups as the scan does them; loads
over as many bytes as each cache holds; bytes at random places of the decimals. One thread, the
least time of several rounds. Needs AVX-512 VBMI and gcc.
"""

import ctypes
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.errors import ResourceError
from indexer.ir import host_features
from indexer.options import Count, home_option
from measuring.machine import address, compile_c, describe, load_digits, print_machine, run
from query.plan import aligned

_ROUNDS = 7
# (what is counted, routine, bytes that its loads walk over, rounds of eight)
_WAYS = (
    ("additions that wait for each other (the clock)", "cycles", 0, 10_000_000),
    ("byte shuffles (vpermb)", "shuffles", 0, 10_000_000),
    ("saturating additions (vpaddusb)", "additions", 0, 10_000_000),
    ("loads, 16 kB (first cache)", "loads", 1 << 14, 10_000_000),
    ("loads, 512 kB (second cache)", "loads", 1 << 19, 4_000_000),
    ("loads, 8 MB (third cache)", "loads", 1 << 23, 1_000_000),
    ("look-ups: load, shuffle, add, 16 kB", "look_ups", 1 << 14, 10_000_000),
    ("look-ups, 512 kB", "look_ups", 1 << 19, 4_000_000),
)


def nanoseconds(routine: Any, rounds: int, array: NDArray[np.uint8], n: int) -> float:
    """The least time of one of what a routine counts."""
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        count = routine(ctypes.c_int64(rounds), address(array), ctypes.c_int64(n))
        best = min(best, (time.perf_counter() - began) / count)
    return best * 1e9


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(), default=10**9, show_default="1e9", metavar="N")
@home_option
def main(home: Path, digits: int) -> None:
    """Measure, print the table."""
    if "avx512vbmi" not in host_features():
        raise ResourceError("this processor has no AVX-512 VBMI, which limits.c is written for")
    library = compile_c("limits.c")
    print_machine(describe())
    work = aligned(1 << 23)
    work[:] = 1  # pages that were never written are all the same one
    clock = 0.0
    print(f"{'one of':50} {'ns':>7} {'a cycle':>8}")
    ways = [(*way, work) for way in _WAYS]
    decimals = load_digits(home, digits)
    ways.append((f"bytes at random places of {digits:,} decimals", "touches", digits, 5_000_000,
                 decimals))  # fmt: skip
    for name, routine, n, rounds, array in ways:
        function = getattr(library, routine)
        function.restype = ctypes.c_int64
        ns = nanoseconds(function, rounds, array, n)
        clock = clock or ns
        print(f"{name:50} {ns:7.3f} {clock / ns:8.2f}")


if __name__ == "__main__":
    run(main)
