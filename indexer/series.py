"""The child process that computes decimals: FLINT here, and nowhere else.

FLINT holds the interpreter lock and cannot be interrupted, so `compute.py` runs this module as a
process of its own: `python -m indexer.series CONSTANT N THREADS FILE PARENT`. It writes the
decimals to FILE and says how far it is in lines of JSON on standard output. It ends when its
standard input does, and on Linux the kernel ends it with its parent.

Stages. `series`: the constant as a ball (midpoint and radius) of arbitrary precision. `scale`: the
ball times 10^n, rounded down; the radius proves that the result is the one integer x. `convert`:
binary to decimal, by halves:

    the fraction f = 0.14159265 (binary), 8 digits wanted
    upper half: f, 4 digits            -> 0.1415 (9265 cut away: half the bits are enough)
    lower half: frac(f * 10^4) = 0.9265, 4 digits

so that the text comes out in order and is never in memory whole. Truncated bits could in theory
change a digit; the decimal hash of x, compared with the hash of the text, shows that none did.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import flint

from indexer.constants import CONSTANTS
from indexer.errors import reason
from indexer.summary import MODULUS

# log2(10), rounded up: bits that a decimal holds.
BITS_PER_DIGIT = 3.3219280948873626
GUARD_BITS = 128
LEAF_DIGITS = 1_000_000
# In place of FILE: prove the integer and say its hash, without converting it.
NO_FILE = "-"
_ATTEMPTS = 4
_PR_SET_PDEATHSIG = 1


def _ball(constant: str) -> Any:
    """The constant as an arb ball at the precision set."""
    arb = flint.arb
    makers: dict[str, Callable[[], Any]] = {
        "pi": arb.pi,
        "e": arb.const_e,
        "sqrt2": lambda: arb(2).sqrt(),
        "ln2": arb.const_log2,
        "phi": lambda: (arb(5).sqrt() + 1) / 2,
    }
    return makers[constant]()


def _fraction(ball: Any, bits: int) -> Any:
    """Midpoint of a ball in [0, 1) as an integer of that many bits after the point."""
    mantissa, exponent = ball.mid().man_exp()
    shift = bits + int(exponent)
    return mantissa << shift if shift >= 0 else mantissa >> -shift


def certified_fraction(
    constant: str, n: int, guard_bits: int, stage: Callable[[str], None]
) -> tuple[Any, int, int] | None:
    """(fraction, its bits, decimal hash) of a constant's n decimals; None: more guard bits needed.

    The hash is of floor(constant * 10^n), which the ball proves.
    """
    bits = int(n * BITS_PER_DIGIT) + guard_bits
    flint.ctx.prec = bits + 16
    stage("series")
    ball = _ball(constant) - CONSTANTS[constant].integer_part
    stage("scale")
    scaled = (ball * flint.arb(flint.fmpz(10) ** n)).floor().unique_fmpz()
    if scaled is None:
        return None
    integer_part = CONSTANTS[constant].integer_part * pow(10, n, MODULUS)
    decimal_hash = (int(scaled % MODULUS) + integer_part) % MODULUS
    del scaled
    return _fraction(ball, bits), bits, decimal_hash


class Converter:
    """Writes the decimals of a binary fraction in order, leaf by leaf."""

    def __init__(self, n: int, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._leaves = 1
        while n > LEAF_DIGITS * self._leaves:
            self._leaves *= 2
        # all leaves but the last are of one size, so every level needs one power of ten only
        self._leaf = -(-n // self._leaves)
        self._powers: dict[int, Any] = {}

    def convert(self, fraction: Any, bits: int, n: int) -> None:
        """Write the first n decimals of fraction / 2^bits. Cost: O(M(n) log n)."""
        self._split([fraction], bits, n, self._leaves)

    def _power(self, exponent: int) -> Any:
        if exponent not in self._powers:
            self._powers[exponent] = flint.fmpz(10) ** exponent
        return self._powers[exponent]

    def _split(self, held: list[Any], bits: int, n: int, leaves: int) -> None:
        """held is a list of one fraction, so that this frame lets go of it when it is used up."""
        fraction = held.pop()
        if leaves == 1 or n <= self._leaf:
            text = ((fraction * self._power(n)) >> bits).str()
            self._write(text.zfill(n).encode("ascii"))
            return
        upper = leaves // 2 * self._leaf
        if n <= upper:
            self._split([fraction], bits, n, leaves // 2)
            return
        enough = min(bits, int(upper * BITS_PER_DIGIT) + GUARD_BITS)
        self._split([fraction >> (bits - enough)], enough, upper, leaves // 2)
        lower = fraction * self._power(upper)
        del fraction
        if leaves == self._leaves:
            self._powers.pop(upper)  # the largest one serves once
        lower -= (lower >> bits) << bits
        enough = min(bits, int((n - upper) * BITS_PER_DIGIT) + GUARD_BITS)
        lower >>= bits - enough
        held = [lower]
        del lower
        self._split(held, enough, n - upper, leaves // 2)


def _say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _certify(constant: str, n: int) -> tuple[Any, int, int]:
    """(fraction, its bits, decimal hash), with as many guard bits as it takes."""
    for attempt in range(_ATTEMPTS):
        found = certified_fraction(constant, n, GUARD_BITS << attempt, lambda s: _say(stage=s))
        if found is not None:
            return found
    raise ArithmeticError(f"the last of {n} decimals stayed undecided after {_ATTEMPTS} attempts")


def _write_decimals(constant: str, n: int, file: BinaryIO) -> int:
    """Write n decimals to file and return the decimal hash of the proven integer."""
    fraction, bits, decimal_hash = _certify(constant, n)
    held = [fraction]
    del fraction
    done = 0

    def write(text: bytes) -> None:
        nonlocal done
        file.write(text)
        done += len(text)
        _say(stage="convert", done=done)

    Converter(n, write).convert(held.pop(), bits, n)
    return decimal_hash


def _die_with_parent(parent: int) -> None:
    """End this process when its parent ends, however that ends."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    def watch() -> None:
        while os.read(0, 64):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str]) -> int:
    """Compute as the command line says; 0 when the file is whole, or the hash known."""
    constant, n, threads, path, parent = arguments
    _die_with_parent(int(parent))
    flint.ctx.threads = int(threads)
    try:
        if path == NO_FILE:
            decimal_hash = _certify(constant, int(n))[2]
        else:
            with Path(path).open("xb") as file:
                decimal_hash = _write_decimals(constant, int(n), file)
                file.flush()
                os.fsync(file.fileno())
    except (OSError, ArithmeticError, MemoryError) as error:
        _say(error=reason(error)[:300], errno=getattr(error, "errno", None))
        return 1
    _say(
        decimal_hash=decimal_hash,
        versions=f"python-flint {flint.__version__}, FLINT {flint.__FLINT_VERSION__}",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
