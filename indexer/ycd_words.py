"""The words of a .ycd file as decimals: 19 to a uint64, the first one the most significant.

`decode_words` is the definition in plain NumPy; `decode_words_jit` gives the same, compiled, 10
times as fast. A word of 10^19 or more holds no 19 decimals: both say how many words come before
the first of those, and spell its last 19 digits.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from indexer.ir import Job, JobFields, MachineCode, load, loop, once, row, store
from indexer.ycd_header import WORD_BYTES, WORD_DIGITS

WORD_LIMIT = 10**WORD_DIGITS
_HALF = 10**8  # a word is 3 + 8 + 8 digits

_JOB = JobFields(("words", "digits", "n_words", "n_sound"), ("words", "digits"))


def decode_words(words: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], int]:
    """(ASCII digits uint8[19 n], sound words before the first that is 10^19 or more) of uint64[n].

    The word 1415926535897932384 is the first 19 decimals of pi. O(n), 3.7 ns a digit.
    """
    digits = np.empty((len(words), WORD_DIGITS), np.uint8)
    rest = words
    for column in reversed(range(WORD_DIGITS)):
        rest, digits[:, column] = rest // np.uint64(10), rest % np.uint64(10)
    damaged = np.flatnonzero(words >= np.uint64(WORD_LIMIT))
    n_sound = int(damaged[0]) if len(damaged) else len(words)
    return digits.reshape(-1) + np.uint8(ord("0")), n_sound


def decode_words_jit(words: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], int]:
    """What decode_words gives; releases the interpreter's lock. O(n), 0.4 ns a digit."""
    words = np.ascontiguousarray(words, dtype=np.uint64)
    digits = np.empty(len(words) * WORD_DIGITS, np.uint8)
    job = Job(_JOB)
    job.set(words=words.ctypes.data, digits=digits.ctypes.data, n_words=len(words))
    _compiled()[1](job.address)
    return digits, job.get("n_sound")


@once
def _compiled() -> tuple[MachineCode, Callable[[int], None]]:
    """The routine, and the code it lives in."""
    code = MachineCode(_assembly())
    return code, code.routine("decode")


def _assembly() -> str:
    """IR of @decode: word after word; three stores, of which each overwrites the one before.

    The first spells the 3 upper digits and one byte that the second overwrites.
    """
    body = row("from", "words", "i", WORD_BYTES) + row("to", "digits", "i", WORD_DIGITS)
    body += load("word", "from", 0, "i64", 1)
    body += f"""%damaged = icmp uge i64 %word, {WORD_LIMIT - 2**64}
%here = select i1 %damaged, i64 %i, i64 %n_words
%before = load i64, ptr %first
%least = call i64 @llvm.umin.i64(i64 %before, i64 %here)
store i64 %least, ptr %first
%upper = udiv i64 %word, {_HALF}
%upper.whole = mul i64 %upper, {_HALF}
%low = sub i64 %word, %upper.whole
%high = udiv i64 %upper, {_HALF}
%high.whole = mul i64 %high, {_HALF}
%middle = sub i64 %upper, %high.whole
"""
    body += _spell("high") + _spell("middle") + _spell("low")
    body += "%high.last = lshr i64 %high.text, 40\n%high.three = trunc i64 %high.last to i32\n"
    body += store("high.three", "to", 0, "i32", 1)
    body += store("middle.text", "to", 3, "i64", 1) + store("low.text", "to", 11, "i64", 1)
    return (
        "declare i64 @llvm.umin.i64(i64, i64)\ndefine void @decode(ptr %job) {\n"
        + _JOB.read("words", "digits", "n_words")
        + "%first = alloca i64\nstore i64 %n_words, ptr %first\n"
        + loop("i", 0, "%n_words", 1, body)
        + "%n_sound = load i64, ptr %first\n"
        + _JOB.write("n_sound", "%n_sound", "out")
        + "ret void\n}\n"
    )


def _spell(name: str) -> str:
    """IR of %name.text: the eight ASCII digits of %name < 10^8, the first in the lowest byte.

    Every step splits all lanes of a word at once, the upper part of each into its lower half:
    12345678 becomes 1234, 5678; then 12, 34, 56, 78; then 1 … 8. The quotients are products and
    shifts: n / 100 is 10486 n >> 20 for n < 10^4, n / 10 is 103 n >> 10 for n < 100.
    """
    text = f"""%{name}.4 = udiv i64 %{name}, 10000
%{name}.4.whole = mul i64 %{name}.4, 10000
%{name}.4.rest = sub i64 %{name}, %{name}.4.whole
%{name}.4.up = shl i64 %{name}.4.rest, 32
%{name}.fours = or i64 %{name}.4, %{name}.4.up
"""
    for old, new, factor, shift, mask, divisor, lane in (
        ("fours", "twos", 10486, 20, 0x0000007F0000007F, 100, 16),
        ("twos", "ones", 103, 10, 0x000F000F000F000F, 10, 8),
    ):
        step = f"{name}.{new}"
        text += f"""%{step}.product = mul i64 %{name}.{old}, {factor}
%{step}.shifted = lshr i64 %{step}.product, {shift}
%{step}.quotient = and i64 %{step}.shifted, {mask}
%{step}.whole = mul i64 %{step}.quotient, {divisor}
%{step}.rest = sub i64 %{name}.{old}, %{step}.whole
%{step}.up = shl i64 %{step}.rest, {lane}
%{step} = or i64 %{step}.quotient, %{step}.up
"""
    return text + f"%{name}.text = or i64 %{name}.ones, {0x3030303030303030}\n"
