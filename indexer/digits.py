"""The stores of decimals in a home folder: which are there, which one to use, and their proof.

HOME/pi-10000000/decimals.txt    one ASCII byte a digit, nothing else
HOME/pi-10000000/manifest.json   what it is, written last

A store can be a part of a number: its decimals begin at first_offset, its folder is named
pi-10000000-from-62500001. Offsets count from the point of the number, starts from the first decimal
of the store.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from indexer.checksums import (
    LargeRecord,
    Reader,
    blocks_of,
    ends_of,
    file_reader,
    hash_ends,
    record_of,
)
from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS, Constant
from indexer.decimals import Decimals, MappedDecimals, PackedDecimals
from indexer.errors import (
    ResourceError,
    SourceError,
    StoreDamaged,
    StoreMissing,
    UsageError,
    reason,
)
from indexer.home import (
    OLD,
    StoreName,
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
    """A complete store of n decimals of a constant, from first_offset on.

    path is the file of decimals, of n_bytes bytes, the first skip of which are not decimals; or the
    first file of a .ycd set: packed is (name, bytes) of each.
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
    first_offset: int = 1
    packed: tuple[tuple[str, int], ...] = ()

    @property
    def integer_part(self) -> int:
        """What stands before the decimals where they are hashed: 0 in a part of a number."""
        return CONSTANTS[self.constant].integer_part if self.first_offset == 1 else 0

    @property
    def name(self) -> StoreName:
        """What its folder is named after."""
        return StoreName(self.constant, self.n, self.first_offset)

    def decimals(self, first: int | None = None, *, prove_ends: bool = True) -> Decimals:
        """The decimals (or the first `first`) to read, mapped where they are a text.

        Raises as `open` does.
        """
        if not self.packed:
            return MappedDecimals(self.open(first, prove_ends=prove_ends))
        self._require_fewer(first)
        from indexer.ycd import open_set  # noqa: PLC0415 - compiles its routine

        try:
            found = open_set([self.path.with_name(name) for name, _ in self.packed])
        except SourceError as error:
            raise StoreDamaged(f"{error}; {self._remedy()}") from None
        sizes = tuple((file.path.name, file.n_bytes) for file in found.files)
        if (sizes, found.first_offset) != (self.packed, self.first_offset) or found.n < self.n:
            raise StoreDamaged(
                f"{self.path} and what is beside it is not the set that the manifest says; "
                f"{self._remedy()}"
            )
        whole = PackedDecimals(found, self.n, self._remedy())
        if prove_ends and ends_of(whole.read, self.n) != self.record.ends_sha256:
            raise self._wrong_ends()
        return PackedDecimals(found, first, self._remedy()) if first else whole

    def _require_fewer(self, first: int | None) -> None:
        if first is not None and not 0 < first <= self.n:
            raise UsageError(f"{first} decimals asked of {self.folder}; it has 1 to {self.n}")

    def _wrong_ends(self) -> StoreDamaged:
        return StoreDamaged(
            f"{self.path} does not begin and end as its manifest says (ends_sha256); "
            f"{self._remedy()}"
        )

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
                offset = self.first_offset + start + wrong[0]
                raise StoreDamaged(
                    f"{self.path}: byte {page[wrong[0]]:#04x} at offset {offset} "
                    f"is no digit; {self._remedy()}"
                )
        self._require_fewer(first)
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
                    raise self._wrong_ends()
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
        if self.packed:
            read: Reader = self.decimals(prove_ends=False).read
            found = blocks_of(read, self.n, threads, tally.add)
        else:
            with self._opened(prove_ends=False) as file:
                read = file_reader(file.fileno(), self.skip)
                found = blocks_of(read, self.n, threads, tally.add)
        for number, (digest, wanted) in enumerate(zip(found, self.record.blocks, strict=True)):
            if digest != wanted:
                first, end = (self.first_offset + at for at in self.record.block_range(number))
                raise StoreDamaged(
                    f"{self.path}: the decimals at offsets {first:,} to {end - 1:,} are not what "
                    f"its manifest says (sha256 of block {number}); {self._remedy()}"
                )
        self.decimals()  # the blocks are right, but the record of the ends may not be

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
    first_offset: int = 1

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
        manifest.first_offset,
        manifest.packed,
    )


def read_store(folder: Path) -> DigitStore:
    """The store in a folder; StoreDamaged where its manifest is missing or doubtful."""
    return store_of(folder, read_manifest(folder))


def record_decimals(path: Path, skip: int, summary: DigitSummary, threads: int) -> LargeRecord:
    """The record of the summary's decimals in a file, behind skip bytes. Raises OSError."""
    with open_plain(path, follow=True) as file:
        return record_of(file_reader(file.fileno(), skip), summary.n, summary.sha256, threads)


def find_store(home: Path, constant: str, n: int, first_offset: int = 1) -> DigitStore | None:
    """The store of exactly n decimals or None; StoreDamaged where it is there and broken."""
    folder = store_folder(home, constant, n, first_offset)
    return read_store(folder) if folder.exists() else None


def _named_folders(home: Path, *, replaced: bool = False) -> dict[StoreName, Path]:
    """The folders that have the name of a store, in the order of (constant, n, first offset).

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
    found: dict[StoreName, Path] = {}
    for name in names:  # "pi-84" comes before "pi-84.old"
        parsed = parse_store_name(name.removesuffix(OLD) if replaced else name)
        if parsed:
            found.setdefault(parsed, home / name)
    return dict(sorted(found.items()))


def survey_stores(home: Path) -> list[SurveyedStore]:
    """Every folder of a home that is named like a store, by constant and n; manifests are read."""
    found = []
    for name in _named_folders(home):
        store, damage = None, None
        try:
            store = find_store(home, *name)
        except StoreDamaged as error:
            damage = error
        if store or damage:  # neither: removed between the two looks
            folder = store_folder(home, *name)
            entry = SurveyedStore(folder, name.constant, name.n, store, damage, name.first_offset)
            found.append(entry)
    return found


def list_stores(home: Path) -> list[DigitStore]:
    """Every store of a home with a sound manifest, by constant and n."""
    return [entry.store for entry in survey_stores(home) if entry.store]


def list_damaged(home: Path) -> list[StoreDamaged]:
    """What is wrong with each folder that is named like a store and has no sound manifest."""
    return [entry.damage for entry in survey_stores(home) if entry.damage]


def choose_store(
    home: Path, digits: int | None = None, constant: str = "pi", first_offset: int | None = None
) -> DigitStore:
    """The store to search: the largest, or the smallest with at least `digits` decimals.

    Of those that begin at first_offset; by default of those that begin at 1, and where nothing is
    asked and none does, of all. StoreMissing where there is none. StoreDamaged where the one to use
    is broken: answering from another one would be answering another question.
    """
    check_request(constant, MIN_DIGITS if digits is None else digits)
    named = _named_folders(home, replaced=True)
    there = [name for name in named if name.constant == constant]
    wanted = first_offset or 1
    folders = {name.n: named[name] for name in there if name.first_offset == wanted}
    if not folders and first_offset is None and digits is None:
        folders = {name.n: named[name] for name in there}
    fitting = [n for n in folders if digits is None or n >= digits]
    if not fitting:
        raise _no_store(home, StoreName(constant, digits or 0, wanted), folders)
    return read_store(folders[max(fitting) if digits is None else min(fitting)])


def _no_store(home: Path, wanted: StoreName, folders: dict[int, Path]) -> StoreMissing:
    have = f"the largest there has {max(folders):,}" if folders else "there is none"
    n = wanted.n or (DEFAULT_DIGITS if wanted.first_offset == 1 else 0)
    count = f"{n:,} decimals" if n else "decimals"
    begin, command = "", f"compute {short_count(n)}"
    if wanted.first_offset > 1:
        begin = f" from offset {wanted.first_offset:,} on"
        command = f"import FILE --from {wanted.first_offset}"
    return StoreMissing(
        f"no store of {count} of {wanted.constant}{begin} in {home}: {have}; "
        f"next: {digits_command(command, wanted.constant, home)}"
    )


def summarise_file(
    decimals: Decimals, constant: str, first_offset: int, progress: Progress
) -> dict[int, DigitSummary]:
    """Summaries of decimals and of each known beginning of them; reports the stage check."""

    def report(done: int) -> None:
        progress(Step("check", done, decimals.n, "digits"))

    report(0)
    whole = first_offset == 1
    integer_part = CONSTANTS[constant].integer_part if whole else 0
    return summarise(decimals, integer_part, known_sizes(constant) if whole else [], report)


def check_store(
    store: DigitStore, progress: Progress = silent, proven_hash: int | None = None
) -> list[Claim]:
    """Every byte of a store against its manifest and the known values, one Claim for each.

    proven_hash is the decimal hash that the number itself has, where it was computed again.
    StoreDamaged where the file cannot even be read as decimals. Cost: 3 s for 10^9 in memory.
    """
    # a claim that fails says more; but what is in a file elsewhere is nobody's to be told
    decimals = store.decimals(prove_ends=store.in_place)
    try:
        summaries = summarise_file(decimals, store.constant, store.first_offset, progress)
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
    return claims + compare_known(store.constant, decimals, summaries, store.first_offset)
