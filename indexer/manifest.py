"""The manifest of a store of decimals: written last, believed only after every field is checked."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from indexer.checksums import LargeRecord, read_large_record
from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS
from indexer.documents import LARGEST_BYTES, Fields, read_document, write_document
from indexer.home import read_folder_name, remake_command
from indexer.summary import MODULUS, DigitSummary

FORMAT = "pilogo-decimals"
VERSION = 2
MANIFEST_NAME = "manifest.json"
DECIMALS_NAME = "decimals.txt"
_MAX_TEXT = 1000
_MAX_MADE = 32

Made = dict[str, str | int | float]


@dataclass(frozen=True)
class Manifest:
    """What a store says of itself.

    path is DECIMALS_NAME, or the absolute path of a file used in place; n_bytes is that file's
    whole size, of which the first skip bytes are not decimals; record proves the decimals alone;
    made tells how it came to be.
    """

    constant: str
    n: int
    path: str
    in_place: bool
    n_bytes: int
    skip: int
    summary: DigitSummary
    record: LargeRecord
    made: Made

    def to_document(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "constant": self.constant,
            "n": self.n,
            "first_offset": 1,
            "file": {
                "path": self.path,
                "in_place": self.in_place,
                "bytes": self.n_bytes,
                "skip": self.skip,
            },
            "digit_counts": list(self.summary.digit_counts),
            "decimal_hash": self.summary.decimal_hash,
            "made": self.made,
            "decimals": self.record.to_document(),
        }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into folder, synced, under its name only when it is whole."""
    write_document(folder / MANIFEST_NAME, manifest.to_document())


def _read_summary(fields: Fields, n: int, record: LargeRecord) -> DigitSummary:
    counts = fields.value("digit_counts")
    if (
        not isinstance(counts, list)
        or len(counts) != 10
        or any(type(count) is not int or count < 0 for count in counts)
        or sum(counts) != n
    ):
        fields.refuse("digit_counts", counts, f"ten counts that add up to n = {n}")
    decimal_hash = fields.integer("decimal_hash", 0, MODULUS - 1)
    return DigitSummary(n, record.sha256, tuple(counts), decimal_hash)


def _read_made(fields: Fields) -> Made:
    made: Made = {}
    for key, found in fields.inner("made").items():
        number = isinstance(found, (int, float)) and -1e18 < found < 1e18
        text = isinstance(found, str) and len(found) <= 4 * _MAX_TEXT and found.isprintable()
        if len(key) > _MAX_TEXT or len(made) >= _MAX_MADE or not (number or text):
            fields.refuse(f"made.{ascii(key[:40])[1:-1]}", found, "a number or a short text")
        made[key] = found
    return made


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; StoreDamaged where anything in it is missing or doubtful."""
    fields = read_document(folder / MANIFEST_NAME, FORMAT, VERSION, remake_command(folder))
    constant = fields.text("constant")
    if constant not in CONSTANTS:
        fields.refuse("constant", constant, "one of " + ", ".join(CONSTANTS))
    n = fields.integer("n", MIN_DIGITS, MAX_DIGITS)
    if (constant, n) != read_folder_name(folder):
        fields.refuse("constant and n", f"{constant}, {n}", f"what the folder {folder.name} says")
    fields.integer("first_offset", 1, 1)
    file = fields.inner("file")
    name, in_place = file.text("path"), file.flag("in_place")
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        fields.refuse("file.path", name, "the name of a file")
    if in_place and not PurePath(name).is_absolute():
        fields.refuse("file.path", name, "an absolute path, because in_place is true")
    if not in_place and name != DECIMALS_NAME:
        fields.refuse("file.path", name, repr(DECIMALS_NAME))
    skip = file.integer("skip", 0, LARGEST_BYTES if in_place else 0)
    size = file.integer("bytes", skip + n, MAX_DIGITS if in_place else n)
    record = read_large_record(fields, "decimals")
    if record.n_bytes != n:
        fields.refuse("decimals.bytes", record.n_bytes, f"n = {n}")
    summary = _read_summary(fields, n, record)
    return Manifest(constant, n, name, in_place, size, skip, summary, record, _read_made(fields))
