"""Decimals from a file that the user has: copied into a store, or used where they are."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.constants import CONSTANTS, MIN_DIGITS
from indexer.containers import TextSource, open_text
from indexer.digits import (
    DigitStore,
    check_request,
    find_store,
    record_decimals,
    store_of,
    summarise_file,
)
from indexer.documents import LARGEST_BYTES
from indexer.durable import translated_os_errors
from indexer.errors import ResourceError, SourceError
from indexer.home import is_work_name, parse_store_name
from indexer.known import compare_known
from indexer.layouts import DecimalReader
from indexer.manifest import DECIMALS_NAME, Manifest
from indexer.progress import Progress, Step, silent
from indexer.resources import free_disk, gigabytes, require_disk, usable_threads
from indexer.summary import DigitSummary
from indexer.workspace import Workspace

_REPORT = 1 << 24
# Left free while copying what a packed file holds, because its size is not known before.
_SPARE_DISK = 256 << 20


@dataclass(frozen=True)
class ImportOptions:
    """How to import: which constant, only the first so many decimals, copied or used in place."""

    constant: str = "pi"
    first: int | None = None
    in_place: bool = False
    replace: bool = False


@dataclass(frozen=True)
class _Taken:
    """The decimals taken from a source: how many, where they begin in it, what lies between."""

    n: int
    start: int
    contiguous: bool
    kind: str


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


def _take(path: Path, work: Workspace, options: ImportOptions, progress: Progress) -> _Taken:
    """Read the source through; the decimals are written to the work unless used in place."""
    n = 0
    with open_text(path) as source:
        if options.in_place and source.kind != "text":
            raise SourceError(f"{path} is packed ({source.kind}); import it without --in-place")
        reader = DecimalReader(source, CONSTANTS[options.constant])
        blocks = _first_blocks(reader, source, options, progress)
        if options.in_place:
            n = sum(len(block) for block in blocks)
        else:
            n = _write(blocks, source, work, options)
    if n < (options.first or MIN_DIGITS):
        raise SourceError(f"{path} has {n} decimals; at least {options.first or MIN_DIGITS} needed")
    return _Taken(n, reader.start, reader.contiguous, source.kind)


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


def _prove(
    path: Path, digits: NDArray[np.uint8], constant: str, progress: Progress
) -> DigitSummary:
    """Summary of the decimals taken; SourceError where they contradict what is known."""
    try:
        summaries = summarise_file(digits, constant, progress)
    except ValueError as error:
        raise SourceError(f"{path} changed while it was read: {error}") from None
    for claim in compare_known(constant, digits, summaries):
        if not claim.ok:
            raise SourceError(
                f"{path}: {claim.claim} is {claim.found}; known is {claim.expected}: "
                f"these are not the decimals of {constant}"
            )
    return summaries[len(digits)]


def _check_in_place(path: Path, taken: _Taken) -> None:
    if not taken.contiguous or taken.start > LARGEST_BYTES:
        raise SourceError(
            f"{path} has line breaks, spaces or counters between its decimals; "
            "import it without --in-place"
        )


def _existing(
    home: Path, path: Path, options: ImportOptions, found: DigitSummary
) -> DigitStore | None:
    """A store of as many decimals, if there is one to keep."""
    there = None if options.replace else find_store(home, options.constant, found.n)
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
    home: Path, path: Path, options: ImportOptions | None = None, *, progress: Progress = silent
) -> DigitStore:
    """The store of the decimals in a file; one that is there with the same decimals is kept.

    SourceError where anything in the file is doubtful. Stages reported: read (bytes of the file),
    check (digits). Cost: O(bytes), about 8 s for 10^9 decimals of plain text.
    """
    options = options or ImportOptions()
    check_request(options.constant, MIN_DIGITS if options.first is None else options.first)
    path = path.absolute()
    with translated_os_errors(home):
        _refuse_own(home, path, options)
        if options.first and not options.replace:
            there = find_store(home, options.constant, options.first)
            if there:
                return there
        begun = time.monotonic()
        work_name = f"{options.constant}-import"  # n is known only when all is read
        with Workspace(home, work_name) as work:
            taken = _take(path, work, options, progress)
            if options.in_place:
                _check_in_place(path, taken)
            file = path if options.in_place else work.decimals
            skip = taken.start if options.in_place else 0
            digits = np.memmap(file, np.uint8, "r", offset=skip, shape=(taken.n,))
            summary = _prove(path, digits, options.constant, progress)
            there = _existing(home, path, options, summary)
            if there:
                return there
            made: dict[str, str | int | float] = {
                "how": "used in place" if options.in_place else "imported",
                "source": path.name[:200],
                "kind": taken.kind,
                "seconds": round(time.monotonic() - begun, 2),
                "when": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            name = str(path) if options.in_place else DECIMALS_NAME
            size = file.stat().st_size
            facts = (options.constant, taken.n, name, options.in_place, size, skip)
            record = record_decimals(file, skip, summary, usable_threads())
            manifest = Manifest(*facts, summary, record, made)
            return store_of(work.publish(manifest, replace=options.replace), manifest)
