"""What proves a text of decimals: its sha256, its ten digit counts and its decimal hash.

The decimal hash of n decimals is (the integer part followed by the decimals) modulo 2^61 - 1. It
is published for pi by y-cruncher, and it merges: with the integer part left out (that is, 0) the
hash of two stretches a, b side by side is h(a) * 10^len(b) + h(b). So h("14") = 14, h("15") = 15
and h("1415") = 14 * 100 + 15 = 1415.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from indexer.decimals import Decimals

MODULUS = 2**61 - 1
BLOCK = 1 << 20  # digits worked on at once; a few temporaries of this size stay in cache
_GROUPS = 1024
_ROW = 8 * _GROUPS  # digits in one row of the matrix product below
_LIMBS = 4
_LIMB_BITS = 16
_MAX_INT_TEXT = 4000  # Python refuses int() of more than 4,300 digits


@dataclass(frozen=True)
class DigitSummary:
    """What is known of n decimals; sha256 is of the n ASCII digits and nothing else."""

    n: int
    sha256: str
    digit_counts: tuple[int, ...]
    decimal_hash: int


def merge_decimal_hash(hash_a: int, hash_b: int, len_b: int) -> int:
    """Hash of stretch a followed by stretch b; hash_b must leave the integer part out."""
    return (hash_a * pow(10, len_b, MODULUS) + hash_b) % MODULUS


def hash_without(whole: int, tail: str) -> int:
    """The hash of a stretch without its last digits, from that of the whole.

    h(a) = (h(ab) - h(b)) / 10^len(b); 10 has an inverse, because the modulus is a prime.
    """
    shift = pow(10, -len(tail), MODULUS)
    return (whole - int(tail)) * shift % MODULUS


@cache
def _weights() -> NDArray[np.float64]:
    """float64[1024, 4]: the weight 10^(8 (1023 - j)) mod 2^61 - 1 of group j in 16-bit limbs."""
    limbs = np.empty((_GROUPS, _LIMBS))
    for group in range(_GROUPS):
        weight = pow(10, 8 * (_GROUPS - 1 - group), MODULUS)
        for limb in range(_LIMBS):
            limbs[group, limb] = (weight >> (_LIMB_BITS * limb)) & 0xFFFF
    return limbs


def _groups_of_eight(digits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """uint64[len / 8]: each eight ASCII digits as one number, by pairwise merging inside a word.

    A little-endian word holds the first digit in its lowest byte, so "12" becomes 1 * 10 + 2 as
    (w * 10) + (w >> 8) in the lowest byte; then bytes merge to pairs, pairs to the whole.
    """
    words = digits.view("<u8") & np.uint64(0x0F0F0F0F0F0F0F0F)
    for factor, shift, mask in (
        (10, 8, 0x00FF00FF00FF00FF),
        (100, 16, 0x0000FFFF0000FFFF),
        (10_000, 32, 0x00000000FFFFFFFF),
    ):
        upper = words >> np.uint64(shift)
        words *= np.uint64(factor)
        words += upper
        words &= np.uint64(mask)
    return words


class Summariser:
    """Takes ASCII digits in stretches of any length, in order, and sums them up.

    integer_part 0 leaves the integer part out of the hash, which makes a hash that merges.
    Cost: O(n), 2.9 ns a digit, of which sha256 takes 0.5; memory O(1).
    """

    def __init__(self, integer_part: int = 0) -> None:
        self._integer_part = integer_part
        self._sha256 = hashlib.sha256()
        self._counts = [0] * 10
        self._n = 0
        self._hash = 0  # of the whole rows taken in
        self._rest = b""  # fewer digits than a row, not yet in the hash
        self._limbs = _weights()

    def update(self, digits: NDArray[np.uint8]) -> None:
        """Take in uint8[any] ASCII digits; ValueError names a byte that is none."""
        digits = np.ascontiguousarray(digits)
        for first in range(0, len(digits), BLOCK):
            self._update_block(digits[first : first + BLOCK])

    def _update_block(self, block: NDArray[np.uint8]) -> None:
        counts = [int(np.count_nonzero(block == 48 + digit)) for digit in range(10)]
        if sum(counts) != len(block):
            wrong = int(np.flatnonzero((block - np.uint8(48)) > 9)[0])
            offset = self._n + wrong + 1
            raise ValueError(f"byte {block[wrong]:#04x} at offset {offset} is no digit")
        self._counts = [old + more for old, more in zip(self._counts, counts, strict=True)]
        self._sha256.update(block.data)
        self._n += len(block)
        if self._rest:
            missing = _ROW - len(self._rest)
            self._rest += block[:missing].tobytes()
            block = block[missing:]
            if len(self._rest) < _ROW:
                return
            self._hash_rows(np.frombuffer(self._rest, np.uint8))
        whole = len(block) // _ROW * _ROW
        self._hash_rows(block[:whole])
        self._rest = block[whole:].tobytes()

    def _hash_rows(self, digits: NDArray[np.uint8]) -> None:
        """Append whole rows to the hash.

        A group is below 2^26.6, a limb below 2^16 and a row has 2^10 groups, so every sum in the
        product is below 2^53 and exact in float64.
        """
        if not len(digits):
            return
        groups = _groups_of_eight(digits).astype(np.float64).reshape(-1, _GROUPS)
        sums = (groups @ self._limbs).astype(np.int64)
        shift = pow(10, _ROW, MODULUS)
        value = self._hash
        for a, b, c, d in sums.tolist():
            value = (value * shift + a + (b << 16) + (c << 32) + (d << 48)) % MODULUS
        self._hash = value

    def summary(self) -> DigitSummary:
        """The summary of everything taken in; more may follow."""
        value = self._hash
        for first in range(0, len(self._rest), _MAX_INT_TEXT):
            piece = self._rest[first : first + _MAX_INT_TEXT]
            value = merge_decimal_hash(value, int(piece), len(piece))
        value = merge_decimal_hash(self._integer_part, value, self._n)
        return DigitSummary(self._n, self._sha256.hexdigest(), tuple(self._counts), value)


def summarise(
    decimals: Decimals,
    integer_part: int,
    stops: Iterable[int] = (),
    report: Callable[[int], None] = lambda done: None,
) -> dict[int, DigitSummary]:
    """Summaries of the first m of n decimals, for m = n and every stop m < n.

    report is called with the digits done, every 16 million. Cost: one pass, whatever the stops.
    """
    stretch = 16 * BLOCK
    n = decimals.n
    ends = sorted({stop for stop in stops if 0 < stop < n} | {n})
    summariser = Summariser(integer_part)
    found: dict[int, DigitSummary] = {}
    start = 0
    for end in ends:
        for first in range(start, end, stretch):
            last = min(first + stretch, end)
            for at in range(first, last, BLOCK):
                summariser.update(decimals.read(at, min(at + BLOCK, last)))
            report(last)
        found[end] = summariser.summary()
        start = end
    return found
