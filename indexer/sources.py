"""Decimals from a file that the user has: copied into a store, or used where they are."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.checksums import record_of
from indexer.constants import CONSTANTS, MIN_DIGITS
from indexer.containers import TextSource, open_text
from indexer.decimals import PIECE, Decimals, MappedDecimals, PackedDecimals
from indexer.digits import DigitStore, check_request, find_store, store_of, summarise_file
from indexer.documents import LARGEST_BYTES
from indexer.durable import translated_os_errors
from indexer.errors import ResourceError, SourceError, StoreDamaged
from indexer.home import StoreName, is_work_name, parse_store_name
from indexer.known import compare_known
from indexer.layouts import DecimalReader
from indexer.manifest import DECIMALS_NAME, MOST_PACKED, Made, Manifest
from indexer.progress import Progress, Step, Tally, silent
from indexer.resources import free_disk, gigabytes, require_disk, usable_threads
from indexer.summary import DigitSummary
from indexer.workspace import Workspace

_REPORT = 1 << 24
# Left free while copying what a packed file holds, because its size is not known before.
_SPARE_DISK = 256 << 20


@dataclass(frozen=True)
class ImportOptions:
    """How to import: which constant, only the first so many decimals, copied or used in place.

    first_offset says where in the number a text begins; a .ycd set says it itself.
    """

    constant: str = "pi"
    first: int | None = None
    in_place: bool = False
    replace: bool = False
    first_offset: int | None = None


@dataclass(frozen=True)
class _Taken:
    """The decimals taken from a source: what to read them by, and what the manifest says of it."""

    decimals: Decimals
    first_offset: int
    kind: str
    file: Path
    skip: int = 0
    packed: tuple[tuple[str, int], ...] = ()


def _first_blocks(
    reader: DecimalReader, source: TextSource, options: ImportOptions, progress: Progress
) -> Iterator[NDArray[np.uint8]]:
    """The blocks wanted, the last one cut; reports the stage read in bytes of the file."""
    read, reported = 0, 0
    progress(Step("read", 0, source.size, "bytes"))
    for whole in reader.blocks():
        block = whole if options.first is None else whole[: options.first - read]
        read += len(block)
        if len(block):
            yield block
        if source.bytes_read() - reported >= _REPORT:
            reported = source.bytes_read()
            progress(Step("read", reported, source.size, "bytes"))
        if read == options.first:
            break
    progress(Step("read", source.size, source.size, "bytes"))


def _take_text(path: Path, work: Workspace, options: ImportOptions, progress: Progress) -> _Taken:
    """Read a text through; the decimals are written to the work unless used in place."""
    first_offset = options.first_offset or 1
    with open_text(path) as source:
        if options.in_place and source.kind != "text":
            raise SourceError(f"{path} is packed ({source.kind}); import it without --in-place")
        reader = DecimalReader(source, CONSTANTS[options.constant], part=first_offset > 1)
        blocks = _first_blocks(reader, source, options, progress)
        if options.in_place:
            n = sum(len(block) for block in blocks)
        else:
            n = _write(blocks, source, work, options)
    _require_enough(path, n, options)
    if options.in_place and (not reader.contiguous or reader.start > LARGEST_BYTES):
        raise SourceError(
            f"{path} has line breaks, spaces or counters between its decimals; "
            "import it without --in-place"
        )
    file = path if options.in_place else work.decimals
    skip = reader.start if options.in_place else 0
    digits = np.memmap(file, np.uint8, "r", offset=skip, shape=(n,))
    return _Taken(MappedDecimals(digits), first_offset, source.kind, file, skip)


def _take_packed(
    paths: Sequence[Path], work: Workspace, options: ImportOptions, progress: Progress
) -> _Taken:
    """The decimals of a .ycd set; unpacked into the work unless used in place."""
    from indexer.ycd import open_set  # noqa: PLC0415 - compiles its routine

    found = open_set(paths)
    first_path = found.files[0].path
    if options.first_offset not in {None, found.first_offset}:
        raise SourceError(
            f"{first_path} begins at offset {found.first_offset:,}, "
            f"and --from says {options.first_offset:,}"
        )
    constant = CONSTANTS[options.constant]
    begins = f"{constant.integer_part}.{constant.first_decimals}"
    if not found.first_digits or not begins.startswith(found.first_digits[: len(begins)]):
        raise SourceError(
            f"{first_path}: the first digits are {found.first_digits[:60]}; those of "
            f"{constant.name} are {begins}"
        )
    n = min(found.n, options.first or found.n)
    _require_enough(first_path, n, options)
    decimals = PackedDecimals(found, n, "")
    if options.in_place:
        if len(found.files) > MOST_PACKED:
            raise SourceError(
                f"{first_path.parent}: {len(found.files)} files of one set; at most {MOST_PACKED} "
                "can be used in place; import them without --in-place"
            )
        packed = tuple((file.path.name, file.n_bytes) for file in found.files)
        if len({file.path.parent for file in found.files}) > 1:
            raise SourceError(f"{first_path} and other files of its set are in different folders")
        return _Taken(decimals, found.first_offset, "ycd", first_path, 0, packed)
    require_disk(n, work.folder, f"importing {first_path.name}")
    tally = Tally("read", n, "digits", progress)
    with work.decimals.open("xb") as file:
        for at in range(0, n, PIECE):
            piece = decimals.read(at, min(at + PIECE, n))
            file.write(piece.data)
            tally.add(len(piece))
        file.flush()
        os.fsync(file.fileno())
    digits = np.memmap(work.decimals, np.uint8, "r")
    return _Taken(MappedDecimals(digits), found.first_offset, "ycd", work.decimals)


def _require_enough(path: Path, n: int, options: ImportOptions) -> None:
    if n < (options.first or MIN_DIGITS):
        raise SourceError(f"{path} has {n} decimals; at least {options.first or MIN_DIGITS} needed")


def _write(
    blocks: Iterator[NDArray[np.uint8]], source: TextSource, work: Workspace, options: ImportOptions
) -> int:
    """Write the decimals, synced; their number."""
    if source.kind == "text":
        least = min(source.size, options.first or source.size)
        require_disk(least, work.folder, f"importing {source.name}")
    n = since_look = 0
    with work.decimals.open("xb") as file:
        for block in blocks:
            file.write(block.data)
            n += len(block)
            since_look += len(block)
            if source.kind != "text" and since_look > _REPORT:
                since_look = 0
                _require_spare(work.folder, source)
        file.flush()
        os.fsync(file.fileno())
    return n


def _require_spare(folder: Path, source: TextSource) -> None:
    free = free_disk(folder)
    if free < _SPARE_DISK:
        raise ResourceError(
            f"{source.name}: unpacking leaves {gigabytes(free)} of disk at {folder}, "
            f"and {gigabytes(_SPARE_DISK)} are kept free; use --first N, or another --home"
        )


def _prove(path: Path, taken: _Taken, constant: str, progress: Progress) -> DigitSummary:
    """Summary of the decimals taken; SourceError where they contradict what is known."""
    decimals, first_offset = taken.decimals, taken.first_offset
    try:
        summaries = summarise_file(decimals, constant, first_offset, progress)
    except ValueError as error:
        raise SourceError(f"{path} changed while it was read: {error}") from None
    except StoreDamaged as error:  # of a set used in place
        raise SourceError(str(error)) from None
    for claim in compare_known(constant, decimals, summaries, first_offset):
        if not claim.ok:
            raise SourceError(
                f"{path}: {claim.claim} is {claim.found}; known is {claim.expected}: "
                f"these are not the decimals of {constant}"
            )
    return summaries[decimals.n]


def _existing(home: Path, path: Path, name: StoreName, found: DigitSummary) -> DigitStore | None:
    """A store of as many decimals, if there is one to keep."""
    there = find_store(home, *name)
    if there and there.summary != found:
        raise SourceError(
            f"{path}: sha256 of its decimals is {found.sha256}; {there.folder} has "
            f"{there.summary.sha256}: `pilogo digits check` tells whether that store is right, "
            "--replace puts this file in its place"
        )
    return there


def _refuse_own(home: Path, path: Path, options: ImportOptions) -> None:
    """SourceError where the source is pilogo's own and importing it would delete it.

    A folder of work is cleared before anything is read; a store that is replaced is deleted, and
    with it the file that a store in place would point to. Links are followed, hard links found.
    """
    if not home.is_dir() or not path.exists():
        return
    real = path.resolve()
    for folder in home.iterdir():
        store = parse_store_name(folder.name)
        if not (is_work_name(folder.name) or (store and (options.in_place or options.replace))):
            continue
        own = folder / DECIMALS_NAME
        if real.is_relative_to(folder.resolve()) or (own.exists() and own.samefile(real)):
            raise SourceError(
                f"{path} is pilogo's own: it is in {folder}, which this import may delete; "
                "copy it to another folder and import the copy"
            )


def import_digits(
    home: Path,
    source: Path | Sequence[Path],
    options: ImportOptions | None = None,
    *,
    progress: Progress = silent,
) -> DigitStore:
    """The store of the decimals in a file; one that is there with the same decimals is kept.

    source is a text, or the .ycd files of one set: some of them, or their folder. SourceError where
    anything in it is doubtful. Stages reported: read (bytes of the file), check (digits). Cost:
    O(bytes), about 8 s for 10^9 decimals of plain text.
    """
    options = options or ImportOptions()
    check_request(options.constant, MIN_DIGITS if options.first is None else options.first)
    named = [source] if isinstance(source, Path) else list(source)
    paths = [path.absolute() for path in named]
    with translated_os_errors(home):
        packed = _packed_set(paths)
        path = packed[0] if packed else paths[0]
        for one in packed or paths:
            _refuse_own(home, one, options)
        first_offset = options.first_offset or 1
        if options.first and not options.replace and not packed:
            there = find_store(home, options.constant, options.first, first_offset)
            if there:
                return there
        begun = time.monotonic()
        work_name = f"{options.constant}-import"  # n is known only when all is read
        with Workspace(home, work_name) as work:
            if packed:
                taken = _take_packed(packed, work, options, progress)
            else:
                taken = _take_text(path, work, options, progress)
            summary = _prove(path, taken, options.constant, progress)
            name = StoreName(options.constant, summary.n, taken.first_offset)
            there = None if options.replace else _existing(home, path, name, summary)
            if there:
                return there
            made: dict[str, str | int | float] = {
                "how": "used in place" if options.in_place else "imported",
                "source": path.name[:200],
                "kind": taken.kind,
                "seconds": round(time.monotonic() - begun, 2),
                "when": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            manifest = _describe(taken, options, summary, made)
            return store_of(work.publish(manifest, replace=options.replace), manifest)


def _packed_set(paths: Sequence[Path]) -> list[Path]:
    """The files of the .ycd set that paths name, or nothing where they name a text."""
    from indexer.ycd import find_set, is_ycd  # noqa: PLC0415

    if not any(path.is_dir() or is_ycd(path) for path in paths):
        if len(paths) > 1:
            raise SourceError(f"{len(paths)} files; only the .ycd files of one set come as several")
        return []
    found = [file for path in paths for file in find_set(path)]
    return list(dict.fromkeys(found))


def _describe(taken: _Taken, options: ImportOptions, summary: DigitSummary, made: Made) -> Manifest:
    """The manifest of what was taken."""
    threads = usable_threads()
    sizes = [size for _, size in taken.packed] or [taken.file.stat().st_size]
    record = record_of(taken.decimals.read, summary.n, summary.sha256, threads)
    return Manifest(
        options.constant,
        summary.n,
        str(taken.file) if options.in_place else DECIMALS_NAME,
        options.in_place,
        sum(sizes),
        taken.skip,
        summary,
        record,
        made,
        taken.first_offset,
        taken.packed,
    )
