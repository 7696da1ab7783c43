"""The stores of decimals in a home folder: which are there, which one to use, and their proof.

HOME/pi-10000000/decimals.txt    one ASCII byte a digit, nothing else
HOME/pi-10000000/manifest.json   what it is, written last
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS, Constant
from indexer.errors import StoreDamaged, StoreMissing, UsageError
from indexer.known import Claim, compare_known, known_sizes
from indexer.manifest import Made, Manifest, read_manifest
from indexer.progress import Progress, Step, silent
from indexer.summary import DigitSummary, Summariser, merge_decimal_hash, summarise

__all__ = [
    "CONSTANTS",
    "DEFAULT_DIGITS",
    "Claim",
    "Constant",
    "DigitStore",
    "DigitSummary",
    "Summariser",
    "check_store",
    "choose_store",
    "default_home",
    "find_store",
    "list_damaged",
    "list_stores",
    "merge_decimal_hash",
]

DEFAULT_DIGITS = 10**7
_PAGE = 4096
_NAME = re.compile(f"({'|'.join(CONSTANTS)})-([1-9][0-9]{{1,15}})")


@dataclass(frozen=True)
class DigitStore:
    """A complete store of the first n decimals of a constant.

    path is the file of decimals, of n_bytes bytes, the first skip of which are not decimals.
    """

    folder: Path
    constant: str
    n: int
    path: Path
    in_place: bool
    n_bytes: int
    skip: int
    summary: DigitSummary
    made: Made

    def open(self, first: int | None = None) -> NDArray[np.uint8]:
        """Read-only map uint8[n] (or of the first `first`) of ASCII digits: index = start.

        StoreDamaged where the file has not the recorded size or does not begin and end in digits.
        Cost: O(1), two pages are read.
        """
        try:
            # NONBLOCK: a named pipe put in the file's place must not hang us
            handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(handle, "rb") as file:
                self._check_size(os.fstat(file.fileno()).st_size)
                digits = np.memmap(file, np.uint8, "r", offset=self.skip, shape=(self.n,))
        except (OSError, ValueError) as error:
            raise StoreDamaged(f"{self.path} cannot be read: {error}; {self._remedy()}") from None
        for page, start in ((digits[:_PAGE], 0), (digits[-_PAGE:], max(0, self.n - _PAGE))):
            wrong = np.flatnonzero((page - np.uint8(48)) > 9)
            if len(wrong):
                raise StoreDamaged(
                    f"{self.path}: byte {page[wrong[0]]:#04x} at offset {start + wrong[0] + 1} "
                    f"is no digit; {self._remedy()}"
                )
        if first is not None and not 0 < first <= self.n:
            raise UsageError(f"{first} decimals asked of {self.folder}; it has 1 to {self.n}")
        return digits if first is None else digits[:first]

    def _check_size(self, found: int) -> None:
        if found != self.n_bytes:
            raise StoreDamaged(
                f"{self.path} has {found} bytes; the manifest says {self.n_bytes}; {self._remedy()}"
            )

    def _remedy(self) -> str:
        if self.in_place:
            return f"put the file back, or move {self.folder} away and import it again"
        return f"move {self.folder} away and make the decimals again"


def default_home() -> Path:
    """The folder of all stores: PILOGO_HOME, or the platform's place for a program's data."""
    from platformdirs import user_data_path  # noqa: PLC0415 - a tenth of the time of --help

    named = os.environ.get("PILOGO_HOME")
    return Path(named) if named else user_data_path("pilogo", appauthor=False)


def store_folder(home: Path, constant: str, n: int) -> Path:
    """Where the store of n decimals of a constant is, complete or not there."""
    return home / f"{constant}-{n}"


def check_request(constant: str, n: int) -> None:
    """UsageError unless the constant and the number of decimals are within what can work."""
    if constant not in CONSTANTS:
        raise UsageError(f"constant {constant!r} is not known; it is one of {', '.join(CONSTANTS)}")
    if not MIN_DIGITS <= n <= MAX_DIGITS:
        raise UsageError(f"{n} decimals asked; allowed are {MIN_DIGITS} to {MAX_DIGITS:,}")


def store_of(folder: Path, manifest: Manifest) -> DigitStore:
    """The store that a manifest describes."""
    return DigitStore(
        folder,
        manifest.constant,
        manifest.n,
        Path(manifest.path) if manifest.in_place else folder / manifest.path,
        manifest.in_place,
        manifest.n_bytes,
        manifest.skip,
        manifest.summary,
        manifest.made,
    )


def find_store(home: Path, constant: str, n: int) -> DigitStore | None:
    """The store of exactly n decimals or None; StoreDamaged where it is there and broken."""
    folder = store_folder(home, constant, n)
    return store_of(folder, read_manifest(folder)) if folder.exists() else None


def _named_folders(home: Path) -> list[tuple[str, int]]:
    """(constant, n) of every folder that has the name of a store, by constant and n."""
    try:
        names = [entry.name for entry in home.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreMissing(f"--home {home} cannot be read: {error.strerror}") from None
    found = [match for name in names if (match := _NAME.fullmatch(name))]
    return sorted((match[1], int(match[2])) for match in found)


def list_stores(home: Path) -> list[DigitStore]:
    """Every complete store of a home, by constant and n; broken ones are in list_damaged."""
    stores = []
    for constant, n in _named_folders(home):
        try:
            store = find_store(home, constant, n)
        except StoreDamaged:
            continue
        if store:
            stores.append(store)
    return stores


def list_damaged(home: Path) -> list[StoreDamaged]:
    """What is wrong with each folder that is named like a store and is none."""
    damaged = []
    for constant, n in _named_folders(home):
        try:
            find_store(home, constant, n)
        except StoreDamaged as error:
            damaged.append(error)
    return damaged


def choose_store(home: Path, digits: int | None = None, constant: str = "pi") -> DigitStore:
    """The store to search: the largest, or the smallest with at least `digits` decimals.

    StoreMissing where there is none. StoreDamaged where the one to use is broken: answering from
    another one would be answering another question.
    """
    check_request(constant, MIN_DIGITS if digits is None else digits)
    sizes = [n for name, n in _named_folders(home) if name == constant]
    fitting = [n for n in sizes if digits is None or n >= digits]
    if not fitting:
        wanted = digits or DEFAULT_DIGITS
        have = f"the largest there has {max(sizes):,}" if sizes else "there is none"
        option = "" if constant == "pi" else f" --constant {constant}"
        raise StoreMissing(
            f"no store of {wanted:,} decimals of {constant} in {home}: {have}; "
            f"next: pilogo digits compute {short_count(wanted)}{option}"
        )
    n = max(fitting) if digits is None else min(fitting)
    store = find_store(home, constant, n)
    if store is None:  # removed between the two looks
        raise StoreMissing(f"{store_folder(home, constant, n)} has just gone; ask again")
    return store


def short_count(n: int) -> str:
    """A count as one would type it: 10000000 is 1e7, 12345 is 12345."""
    digits = str(n)
    zeros = len(digits) - len(digits.rstrip("0"))
    return f"{digits[: len(digits) - zeros]}e{zeros}" if zeros >= 4 else digits


def summarise_file(
    digits: NDArray[np.uint8], constant: str, progress: Progress
) -> dict[int, DigitSummary]:
    """Summaries of uint8[n] ASCII digits and of each known beginning; reports the stage check."""

    def report(done: int) -> None:
        progress(Step("check", done, len(digits), "digits"))

    report(0)
    integer_part = CONSTANTS[constant].integer_part
    return summarise(digits, integer_part, known_sizes(constant), report)


def check_store(store: DigitStore, progress: Progress = silent) -> list[Claim]:
    """Every byte of a store against its manifest and the known values, one Claim for each.

    StoreDamaged where the file cannot even be read as decimals. Cost: 3 s for 10^9 in memory.
    """
    digits = store.open()
    try:
        summaries = summarise_file(digits, store.constant, progress)
    except ValueError as error:
        raise StoreDamaged(f"{store.path}: {error}; {store._remedy()}") from None
    found, recorded = summaries[store.n], store.summary
    claims = [
        Claim("manifest: sha256", recorded.sha256, found.sha256),
        Claim(
            "manifest: digit counts",
            str(list(recorded.digit_counts)),
            str(list(found.digit_counts)),
        ),
        Claim("manifest: decimal hash", str(recorded.decimal_hash), str(found.decimal_hash)),
    ]
    return claims + compare_known(store.constant, digits, summaries)
