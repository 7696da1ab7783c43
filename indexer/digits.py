"""The stores of decimals in a home folder: which are there, which one to use, and their proof.

HOME/pi-10000000/decimals.txt    one ASCII byte a digit, nothing else
HOME/pi-10000000/manifest.json   what it is, written last
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from indexer.checksums import LargeRecord, hash_blocks, hash_ends, record_of
from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS, Constant
from indexer.errors import ResourceError, StoreDamaged, StoreMissing, UsageError, reason
from indexer.home import (
    OLD,
    default_home,
    digits_command,
    parse_store_name,
    remake_command,
    short_count,
    store_folder,
)
from indexer.known import Claim, compare_known, known_sizes
from indexer.manifest import Made, Manifest, read_manifest
from indexer.mapping import map_bytes, open_plain
from indexer.progress import Progress, Step, Tally, silent
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
    record: LargeRecord
    made: Made

    def open(self, first: int | None = None, *, prove_ends: bool = True) -> NDArray[np.uint8]:
        """Read-only map uint8[n] (or of the first `first`) of ASCII digits: index = start.

        StoreDamaged where the file has not the recorded size and ends, or no digits there. Cost:
        O(1), two pages are read.
        """
        with self._opened(prove_ends=prove_ends) as file:
            try:
                digits = map_bytes(file, self.skip + self.n)[self.skip :]
            except OSError as error:
                raise ResourceError(
                    f"{self.path}: {self.n_bytes:,} bytes cannot be mapped: {reason(error)}; "
                    "raise the limit on address space (ulimit -v)"
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

    @contextlib.contextmanager
    def _opened(self, *, prove_ends: bool = True) -> Iterator[BinaryIO]:
        """The file, after its size and its ends are found to be as recorded."""
        try:
            with open_plain(self.path, follow=self.in_place) as file:
                found = os.fstat(file.fileno()).st_size
                if found != self.n_bytes:
                    raise StoreDamaged(
                        f"{self.path} has {found} bytes; the manifest says {self.n_bytes}; "
                        f"{self._remedy()}"
                    )
                ends = hash_ends(file.fileno(), self.skip, self.n) if prove_ends else None
                if ends not in {None, self.record.ends_sha256}:
                    raise StoreDamaged(
                        f"{self.path} does not begin and end as its manifest says (ends_sha256); "
                        f"{self._remedy()}"
                    )
                yield file
        except OSError as error:
            raise StoreDamaged(
                f"{self.path} cannot be read: {reason(error)}; {self._remedy()}"
            ) from None

    def require_sound(self, threads: int, progress: Progress = silent) -> None:
        """StoreDamaged, naming the first bad stretch, unless every decimal is as recorded.

        Reports the stage check. Cost: 0.6 s for 10^9 decimals in memory and thread.
        """
        tally = Tally("check", self.n, "digits", progress)
        with self._opened(prove_ends=False) as file:
            found = hash_blocks(file.fileno(), self.skip, self.n, threads, tally.add)
        for number, (digest, wanted) in enumerate(zip(found, self.record.blocks, strict=True)):
            if digest != wanted:
                first, end = self.record.block_range(number)
                raise StoreDamaged(
                    f"{self.path}: the decimals at offsets {first + 1:,} to {end:,} are not what "
                    f"its manifest says (sha256 of block {number}); {self._remedy()}"
                )
        self.open()  # the blocks are right, but the record of the ends may not be

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

    def sound(self) -> DigitStore:
        """The store; StoreDamaged where its manifest is broken."""
        if self.store is None:
            raise self.damage or StoreDamaged(f"{self.folder} has no store")
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
        manifest.record,
        manifest.made,
    )


def record_decimals(path: Path, skip: int, summary: DigitSummary, threads: int) -> LargeRecord:
    """The record of the summary's decimals in a file, behind skip bytes. Raises OSError."""
    with open_plain(path, follow=True) as file:
        return record_of(file.fileno(), skip, summary.n, summary.sha256, threads)


def find_store(home: Path, constant: str, n: int) -> DigitStore | None:
    """The store of exactly n decimals or None; StoreDamaged where it is there and broken."""
    folder = store_folder(home, constant, n)
    return store_of(folder, read_manifest(folder)) if folder.exists() else None


def _named_folders(home: Path, *, replaced: bool = False) -> dict[tuple[str, int], Path]:
    """The folders that have the name of a store, in the order of (constant, n).

    replaced: also those that are being replaced and whose successor has not its name yet.
    """
    try:
        names = sorted(
            entry.name
            for entry in home.iterdir()
            if entry.is_dir() and not (entry.name.endswith(OLD) and entry.is_symlink())
        )
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreMissing(
            f"the home {home} (--home or PILOGO_HOME) cannot be read: {reason(error)}"
        ) from None
    found: dict[tuple[str, int], Path] = {}
    for name in names:  # "pi-84" comes before "pi-84.old"
        parsed = parse_store_name(name.removesuffix(OLD) if replaced else name)
        if parsed:
            found.setdefault(parsed, home / name)
    return dict(sorted(found.items()))


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
    folders = {
        n: folder
        for (name, n), folder in _named_folders(home, replaced=True).items()
        if name == constant
    }
    fitting = [n for n in folders if digits is None or n >= digits]
    if not fitting:
        wanted = digits or DEFAULT_DIGITS
        have = f"the largest there has {max(folders):,}" if folders else "there is none"
        raise StoreMissing(
            f"no store of {wanted:,} decimals of {constant} in {home}: {have}; "
            f"next: {digits_command(f'compute {short_count(wanted)}', constant, home)}"
        )
    folder = folders[max(fitting) if digits is None else min(fitting)]
    return store_of(folder, read_manifest(folder))


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
    # a claim that fails says more; but what is in a file elsewhere is nobody's to be told
    digits = store.open(prove_ends=store.in_place)
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
