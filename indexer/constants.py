"""The numbers whose decimals a store can hold, and how each one begins."""

from dataclasses import dataclass

MIN_DIGITS = 84  # one window
MAX_DIGITS = 10**15


@dataclass(frozen=True)
class Constant:
    """A number by name: its integer part and its first 50 decimals (source: the OEIS entry)."""

    name: str
    title: str
    integer_part: int
    first_decimals: str
    oeis: str


_ALL = (
    Constant("pi", "π", 3, "14159265358979323846264338327950288419716939937510", "A000796"),
    Constant("e", "e", 2, "71828182845904523536028747135266249775724709369995", "A001113"),
    Constant("sqrt2", "√2", 1, "41421356237309504880168872420969807856967187537694", "A002193"),
    Constant("ln2", "ln 2", 0, "69314718055994530941723212145817656807550013436025", "A002162"),
    Constant("phi", "φ", 1, "61803398874989484820458683436563811772030917980576", "A001622"),
)

CONSTANTS: dict[str, Constant] = {constant.name: constant for constant in _ALL}
