"""The stores of decimals in a home folder: which are there, which one to use, and their proof.

HOME/pi-10000000/decimals.txt    one ASCII byte a digit, nothing else
HOME/pi-10000000/manifest.json   what it is, written last
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS, Constant
from indexer.errors import StoreDamaged, StoreMissing, UsageError, reason
from indexer.home import (
    default_home,
    digits_command,
    parse_store_name,
    remake_command,
    short_count,
    store_folder,
)
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
    "SurveyedStore",
    "check_store",
    "choose_store",
    "default_home",
    "find_store",
    "list_damaged",
    "list_stores",
    "merge_decimal_hash",
    "survey_stores",
]

DEFAULT_DIGITS = 10**7
_PAGE = 4096


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
            try:
                file = os.fdopen(handle, "rb")
            except OSError:  # a folder in the file's place: the handle is still ours
                os.close(handle)
                raise
            with file:
                self._check_size(os.fstat(file.fileno()).st_size)
                digits = np.memmap(file, np.uint8, "r", offset=self.skip, shape=(self.n,))
        except (OSError, ValueError) as error:
            raise StoreDamaged(
                f"{self.path} cannot be read: {reason(error)}; {self._remedy()}"
            ) from None
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
            return f"put the file back, or next: {remake_command(self.folder)}"
        return f"next: {remake_command(self.folder)}"


@dataclass(frozen=True)
class SurveyedStore:
    """A folder named like a store: the store its manifest describes, or what is wrong with it."""

    folder: Path
    constant: str
    n: int
    store: DigitStore | None
    damage: StoreDamaged | None

    def opened(self) -> DigitStore:
        """The store, its file looked at in O(1); StoreDamaged where either is broken."""
        if self.store is None:
            raise self.damage or StoreDamaged(f"{self.folder} has no store")
        self.store.open()
        return self.store


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
        raise StoreMissing(
            f"the home {home} (--home or PILOGO_HOME) cannot be read: {reason(error)}"
        ) from None
    return sorted(parsed for name in names if (parsed := parse_store_name(name)))


def survey_stores(home: Path) -> list[SurveyedStore]:
    """Every folder of a home that is named like a store, by constant and n; manifests are read."""
    found = []
    for constant, n in _named_folders(home):
        store, damage = None, None
        try:
            store = find_store(home, constant, n)
        except StoreDamaged as error:
            damage = error
        if store or damage:  # neither: removed between the two looks
            folder = store_folder(home, constant, n)
            found.append(SurveyedStore(folder, constant, n, store, damage))
    return found


def list_stores(home: Path) -> list[DigitStore]:
    """Every store of a home with a sound manifest, by constant and n."""
    return [entry.store for entry in survey_stores(home) if entry.store]


def list_damaged(home: Path) -> list[StoreDamaged]:
    """What is wrong with each folder that is named like a store and has no sound manifest."""
    return [entry.damage for entry in survey_stores(home) if entry.damage]


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
        raise StoreMissing(
            f"no store of {wanted:,} decimals of {constant} in {home}: {have}; "
            f"next: {digits_command(f'compute {short_count(wanted)}', constant, home)}"
        )
    n = max(fitting) if digits is None else min(fitting)
    store = find_store(home, constant, n)
    if store is None:  # removed between the two looks
        raise StoreMissing(f"{store_folder(home, constant, n)} has just gone; ask again")
    return store


def summarise_file(
    digits: NDArray[np.uint8], constant: str, progress: Progress
) -> dict[int, DigitSummary]:
    """Summaries of uint8[n] ASCII digits and of each known beginning; reports the stage check."""

    def report(done: int) -> None:
        progress(Step("check", done, len(digits), "digits"))

    report(0)
    integer_part = CONSTANTS[constant].integer_part
    return summarise(digits, integer_part, known_sizes(constant), report)


def check_store(
    store: DigitStore, progress: Progress = silent, proven_hash: int | None = None
) -> list[Claim]:
    """Every byte of a store against its manifest and the known values, one Claim for each.

    proven_hash is the decimal hash that the number itself has, where it was computed again.
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
    if proven_hash is not None:
        claims.append(Claim("recomputed: decimal hash", str(proven_hash), str(found.decimal_hash)))
    return claims + compare_known(store.constant, digits, summaries)
