"""The manifest of a store of decimals: written last, believed only after every field is checked."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NoReturn

from indexer.constants import CONSTANTS, MAX_DIGITS, MIN_DIGITS
from indexer.errors import StoreDamaged, reason
from indexer.home import remake_command
from indexer.summary import MODULUS, DigitSummary

FORMAT = "pilogo-decimals"
VERSION = 1
MANIFEST_NAME = "manifest.json"
DECIMALS_NAME = "decimals.txt"
MAX_BYTES = 64 * 1024
_MAX_TEXT = 1000
_MAX_MADE = 32

Made = dict[str, str | int | float]


@dataclass(frozen=True)
class Manifest:
    """What a store says of itself.

    path is DECIMALS_NAME, or the absolute path of a file used in place; n_bytes is that file's
    whole size, of which the first skip bytes are not decimals; made tells how it came to be.
    """

    constant: str
    n: int
    path: str
    in_place: bool
    n_bytes: int
    skip: int
    summary: DigitSummary
    made: Made

    def to_json(self) -> str:
        """The manifest as JSON text."""
        document = {
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
                "sha256": self.summary.sha256,
            },
            "digit_counts": list(self.summary.digit_counts),
            "decimal_hash": self.summary.decimal_hash,
            "made": self.made,
        }
        # ASCII, because a path may hold bytes that are no text
        return json.dumps(document, indent=1) + "\n"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into folder, synced, under its name only when it is whole."""
    partial = folder / (MANIFEST_NAME + ".tmp")
    with partial.open("wb") as file:
        file.write(manifest.to_json().encode())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / MANIFEST_NAME)


class _Fields:
    """Reads fields of one JSON object; every doubt is a StoreDamaged that names file and field."""

    def __init__(self, path: Path, document: object, within: str = "") -> None:
        self._path = path
        self._within = within
        if not isinstance(document, dict):
            self.refuse(within.rstrip(".") or "the document", document, "a JSON object")
        self._document: dict[str, Any] = document

    def refuse(self, name: str, found: object, allowed: str) -> NoReturn:
        shown = repr(found)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise StoreDamaged(
            f"{self._path}: {name} is {shown}; it must be {allowed}; "
            f"next: {remake_command(self._path.parent)}"
        )

    def value(self, name: str) -> object:
        if name not in self._document:
            self.refuse(self._within + name, None, "present")
        return self._document[name]

    def integer(self, name: str, low: int, high: int) -> int:
        found = self.value(name)
        # bool is an int to Python, not to a reader of the file
        if not isinstance(found, int) or isinstance(found, bool) or not low <= found <= high:
            self.refuse(self._within + name, found, f"an integer from {low} to {high}")
        return found

    def text(self, name: str) -> str:
        found = self.value(name)
        if not isinstance(found, str) or not 0 < len(found) <= 4096 or "\0" in found:
            self.refuse(self._within + name, found, "a text of 1 to 4,096 characters")
        return found

    def flag(self, name: str) -> bool:
        found = self.value(name)
        if not isinstance(found, bool):
            self.refuse(self._within + name, found, "true or false")
        return found

    def inner(self, name: str) -> "_Fields":
        return _Fields(self._path, self.value(name), name + ".")

    def items(self) -> list[tuple[str, Any]]:
        return list(self._document.items())


def _read_document(path: Path) -> object:
    """The JSON of a file of at most MAX_BYTES."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise StoreDamaged(
            f"{path.parent} has no {path.name}; next: {remake_command(path.parent)}"
        ) from None
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {reason(error)}") from None
    if len(raw) > MAX_BYTES:
        raise StoreDamaged(
            f"{path} is larger than {MAX_BYTES} bytes; it is no manifest; "
            f"next: {remake_command(path.parent)}"
        )
    try:
        return json.loads(raw)
    # RecursionError: thousands of nested brackets
    except (ValueError, RecursionError):
        raise StoreDamaged(f"{path} is not JSON; next: {remake_command(path.parent)}") from None


def _check_format(path: Path, fields: _Fields) -> None:
    """Tell a foreign file, one from a later pilogo and one from an earlier pilogo apart."""
    if fields.value("format") != FORMAT:
        fields.refuse("format", fields.value("format"), f"{FORMAT!r}: this is another program's")
    version = fields.integer("version", 0, 10**9)
    if version > VERSION:
        raise StoreDamaged(
            f"{path}: version {version} is too new; this pilogo reads {VERSION}: update pilogo"
        )
    if version < VERSION:
        raise StoreDamaged(
            f"{path}: version {version} is too old; this pilogo reads {VERSION}: "
            f"next: {remake_command(path.parent)}"
        )


def _read_summary(fields: _Fields, n: int) -> DigitSummary:
    sha256 = fields.inner("file").text("sha256")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        fields.refuse("file.sha256", sha256, "64 hexadecimal digits in lower case")
    counts = fields.value("digit_counts")
    if (
        not isinstance(counts, list)
        or len(counts) != 10
        or any(type(count) is not int or count < 0 for count in counts)
        or sum(counts) != n
    ):
        fields.refuse("digit_counts", counts, f"ten counts that add up to n = {n}")
    decimal_hash = fields.integer("decimal_hash", 0, MODULUS - 1)
    return DigitSummary(n, sha256, tuple(counts), decimal_hash)


def _read_made(fields: _Fields) -> Made:
    made: Made = {}
    for key, found in fields.inner("made").items():
        number = isinstance(found, (int, float)) and math.isfinite(found)
        text = isinstance(found, str) and len(found) <= 4 * _MAX_TEXT
        if len(key) > _MAX_TEXT or len(made) >= _MAX_MADE or not (number or text):
            fields.refuse(f"made.{key[:40]}", found, "a number or a short text")
        made[key] = found
    return made


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; StoreDamaged where anything in it is missing or doubtful."""
    path = folder / MANIFEST_NAME
    fields = _Fields(path, _read_document(path))
    _check_format(path, fields)
    constant = fields.text("constant")
    if constant not in CONSTANTS:
        fields.refuse("constant", constant, "one of " + ", ".join(CONSTANTS))
    n = fields.integer("n", MIN_DIGITS, MAX_DIGITS)
    if folder.name != f"{constant}-{n}":
        fields.refuse("constant and n", f"{constant}, {n}", f"what the folder {folder.name} says")
    fields.integer("first_offset", 1, 1)
    file = fields.inner("file")
    name, in_place = file.text("path"), file.flag("in_place")
    if in_place and not PurePath(name).is_absolute():
        fields.refuse("file.path", name, "an absolute path, because in_place is true")
    if not in_place and name != DECIMALS_NAME:
        fields.refuse("file.path", name, repr(DECIMALS_NAME))
    skip = file.integer("skip", 0, MAX_BYTES if in_place else 0)
    size = file.integer("bytes", skip + n, MAX_DIGITS if in_place else n)
    summary = _read_summary(fields, n)
    return Manifest(constant, n, name, in_place, size, skip, summary, _read_made(fields))
