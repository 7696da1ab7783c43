"""Decimals to read: of a text that is mapped, or of files that are unpacked piece by piece."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.errors import SourceError, StoreDamaged

# Digits unpacked at once where all are read: they stay in a processor's cache.
PIECE = 1 << 20


class Decimals(Protocol):
    """n decimals; a start is 0-based from the first of them."""

    @property
    def n(self) -> int:
        """How many there are."""

    def read(self, begin: int, end: int) -> NDArray[np.uint8]:
        """The decimals [begin, end) as uint8 ASCII digits, 0 <= begin <= end <= n."""


class MappedDecimals:
    """A text of decimals in memory or mapped: uint8[n] ASCII. What is read is not copied."""

    def __init__(self, digits: NDArray[np.uint8]) -> None:
        self.digits = digits

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.digits)

    def read(self, begin: int, end: int) -> NDArray[np.uint8]:
        """The decimals [begin, end)."""
        return self.digits[begin:end]


class Packed(Protocol):
    """What PackedDecimals reads: indexer/ycd.py."""

    def read(self, begin: int, end: int) -> NDArray[np.uint8]:
        """The decimals [begin, end); SourceError where the files hold something else."""


class PackedDecimals:
    """The first n decimals of a .ycd set, unpacked where they are read; remedy ends messages."""

    def __init__(self, packed: Packed, n: int, remedy: str) -> None:
        self._packed = packed
        self._n = n
        self._remedy = remedy

    @property
    def n(self) -> int:
        """How many there are."""
        return self._n

    def read(self, begin: int, end: int) -> NDArray[np.uint8]:
        """The decimals [begin, end); StoreDamaged where the files hold something else."""
        try:
            return self._packed.read(begin, end)
        except SourceError as error:
            remedy = f"; {self._remedy}" if self._remedy else ""
            raise StoreDamaged(f"{error}{remedy}") from None
