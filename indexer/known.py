"""Known values of the decimals (data/checks.json), compared claim by claim."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from indexer.constants import CONSTANTS
from indexer.decimals import Decimals
from indexer.packaged import data_file
from indexer.summary import DigitSummary


@dataclass(frozen=True)
class Claim:
    """One thing that should be so: what was expected, what was found, and whether they agree."""

    claim: str
    expected: str
    found: str

    @property
    def ok(self) -> bool:
        """Whether the claim holds."""
        return self.expected == self.found


@cache
def _known_values() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data_file("checks.json").read_text("utf-8"))
    return document


def known_sizes(constant: str) -> list[int]:
    """The numbers of decimals for which anything about the whole is known, ascending."""
    if constant != "pi":
        return []
    known = _known_values()
    tables = (known["decimal_hash"], known["digit_counts"], known["sha256_of_ascii_decimals"])
    return sorted({int(size) for table in tables for size in table})


def known_reach(constant: str, n: int, first_offset: int = 1) -> int:
    """How many of the first n decimals are known as a whole, by hash or by themselves.

    0 where they do not begin at offset 1.
    """
    if first_offset > 1:
        return 0
    first = len(CONSTANTS[constant].first_decimals)
    hashed = known_sizes(constant) if constant == "pi" else []
    return max([min(first, n), *(size for size in hashed if size <= n and _is_hashed(size))])


def _is_hashed(size: int) -> bool:
    known = _known_values()
    return str(size) in known["decimal_hash"] or str(size) in known["sha256_of_ascii_decimals"]


def _text_at(decimals: Decimals, start: int, length: int) -> str:
    end = min(start + length, decimals.n)
    return decimals.read(start, end).tobytes().decode("ascii", "replace")


def _whole_claims(summary: DigitSummary) -> list[Claim]:
    """Claims about all of the first summary.n decimals of pi."""
    known, size = _known_values(), str(summary.n)
    pairs = (
        ("decimal hash", known["decimal_hash"], summary.decimal_hash),
        ("digit counts", known["digit_counts"], list(summary.digit_counts)),
        ("sha256", known["sha256_of_ascii_decimals"], summary.sha256),
    )
    return [
        Claim(f"{what} of the first {summary.n:,}", str(table[size]), str(found))
        for what, table, found in pairs
        if size in table
    ]


def compare_known(
    constant: str,
    decimals: Decimals,
    summaries: dict[int, DigitSummary],
    first_offset: int = 1,
) -> list[Claim]:
    """What is known of a constant against decimals and summaries of their beginnings.

    summaries as from `summarise(decimals, …, known_sizes(constant))`. A store of any n is compared
    with every known size that it reaches; one that begins later with what is known by its offset.
    Cost: O(1) beside the summaries.
    """
    claims = []
    if first_offset == 1:
        first = CONSTANTS[constant].first_decimals
        source = CONSTANTS[constant].oeis
        found = _text_at(decimals, 0, 50)
        claims.append(Claim(f"first 50 decimals (OEIS {source})", first, found))
    if constant != "pi":
        return claims
    if first_offset == 1:
        for size in known_sizes(constant):
            if size in summaries:
                claims += _whole_claims(summaries[size])
    known = _known_values()
    places = [
        (f"the 20 up to offset {int(size):,}", last, int(size) - len(last) + 1)
        for size, last in known["last_20_digits"].items()
    ]
    places += [(f"at offset {at:,}", text, at) for text, at in known["strings_at"].items()]
    for what, text, offset in places:
        start = offset - first_offset
        if start >= 0 and start + len(text) <= decimals.n:
            claims.append(Claim(what, text, _text_at(decimals, start, len(text))))
    return claims
