"""What a search says: an Answer holds Matches. Plain data, no printing, no arrays."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Match:
    """One window of the answer, scored exactly.

    offset is 1-based after the point; distance is in the metric's own unit; expected is the
    E-value: how many windows this close or closer n random decimals would hold; sequence is the
    window's 84 digits.
    """

    rank: int
    offset: int
    distance: float
    expected: float
    sequence: str


@dataclass(frozen=True)
class Answer:
    """The answer to one bitmap.

    bitmap is the reference as 84 digits; digits is n, the decimals searched; mode is "index" or
    "scan"; certified means that every window was accounted for; expected_missed is how many of the
    true top ten the answer is expected to lack (0 when certified); seconds is the time of the
    search itself. windows is how many windows were looked at, candidates how many of these were
    scored exactly or bounded: all of them in a scan. first_offset is that of the first decimal;
    uncovered are the (first, last) offsets of windows that no shard could be reached for.
    """

    logo: str
    bitmap: str
    metric: str
    constant: str
    digits: int
    mode: str
    certified: bool
    expected_missed: float
    seconds: float
    matches: tuple[Match, ...]
    windows: int = 0
    candidates: int = 0
    first_offset: int = 1
    uncovered: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class OddsRow:
    """What n decimals can be expected to hold: distances in the metric's own unit."""

    digits: int
    best: float
    tenth: float


@dataclass(frozen=True)
class NeededRow:
    """How many decimals (as log10) are needed to expect one window at this distance or closer."""

    distance: float
    log10_digits: float


@dataclass(frozen=True)
class Odds:
    """The odds of one bitmap: rows for n = 10^6 … 10^15, needed from the exact picture upward.

    needed[0] is the exact picture (the least distance there is).
    """

    logo: str
    bitmap: str
    metric: str
    rows: tuple[OddsRow, ...]
    needed: tuple[NeededRow, ...]
