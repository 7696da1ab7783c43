"""The manifest of a store of decimals: written last, believed only after every field is checked."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from indexer.checksums import LargeRecord, read_large_record
from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS
from indexer.documents import LARGEST_BYTES, Fields, read_document, write_document
from indexer.home import StoreName, read_folder_name, remake_command
from indexer.summary import MODULUS, DigitSummary

FORMAT = "pilogo-decimals"
VERSION = 2
MANIFEST_NAME = "manifest.json"
DECIMALS_NAME = "decimals.txt"
_MAX_TEXT = 1000
_MAX_MADE = 32
# Files of a .ycd set: their names must fit into a manifest.
MOST_PACKED = 300

Made = dict[str, str | int | float]


@dataclass(frozen=True)
class Manifest:
    """What a store says of itself.

    path is DECIMALS_NAME, or the absolute path of a file used in place; n_bytes is that file's
    whole size, of which the first skip bytes are not decimals; record proves the decimals alone,
    as text; made tells how it came to be. first_offset is that of the first decimal. packed is
    (name, bytes) of each file of a .ycd set in the folder of path, its first; n_bytes their sum.
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
    first_offset: int = 1
    packed: tuple[tuple[str, int], ...] = ()

    def to_document(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        file: dict[str, Any] = {
            "path": self.path,
            "in_place": self.in_place,
            "bytes": self.n_bytes,
            "skip": self.skip,
        }
        if self.packed:
            file["packed"] = [{"name": name, "bytes": size} for name, size in self.packed]
        return {
            "format": FORMAT,
            "version": VERSION,
            "constant": self.constant,
            "n": self.n,
            "first_offset": self.first_offset,
            "file": file,
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
    first_offset = fields.integer("first_offset", 1, MAX_DIGITS)
    name = StoreName(constant, n, first_offset)
    if name != read_folder_name(folder):
        fields.refuse(
            "constant, n and first_offset", f"{name}", f"what the folder {folder.name} says"
        )
    file = fields.inner("file")
    path, in_place = file.text("path"), file.flag("in_place")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        fields.refuse("file.path", path, "the name of a file")
    if in_place and not PurePath(path).is_absolute():
        fields.refuse("file.path", path, "an absolute path, because in_place is true")
    if not in_place and path != DECIMALS_NAME:
        fields.refuse("file.path", path, repr(DECIMALS_NAME))
    packed = _read_packed(file, PurePath(path).name) if "packed" in file and in_place else ()
    skip = file.integer("skip", 0, LARGEST_BYTES if in_place and not packed else 0)
    least = sum(size for _, size in packed) or skip + n
    size = file.integer("bytes", least, MAX_DIGITS if in_place and not packed else least)
    record = read_large_record(fields, "decimals")
    if record.n_bytes != n:
        fields.refuse("decimals.bytes", record.n_bytes, f"n = {n}")
    summary = _read_summary(fields, n, record)
    made = _read_made(fields)
    return Manifest(
        constant, n, path, in_place, size, skip, summary, record, made, first_offset, packed
    )


def _read_packed(file: Fields, first: str) -> tuple[tuple[str, int], ...]:
    """(name, bytes) of each file of a .ycd set; all are in one folder."""
    found = []
    for entry in file.each("packed", MOST_PACKED):
        name = entry.text("name")
        if PurePath(name).name != name or name in {"", ".", ".."} or "\\" in name:
            entry.refuse("file.packed.name", name, "the name of a file beside the first")
        found.append((name, entry.integer("bytes", 1, MAX_DIGITS)))
    if found[0][0] != first:
        file.refuse("file.packed", found[0][0], f"a list that begins with {first}")
    return tuple(found)
