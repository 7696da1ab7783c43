"""JSON documents of a store: written whole or not at all, believed only field by field."""

import hashlib
import json
from pathlib import Path
from typing import Any, NoReturn

from indexer.durable import write_file
from indexer.errors import StoreDamaged, StoreForeign, reason
from indexer.mapping import open_plain

LARGEST_BYTES = 64 * 1024
_SEAL = "seal"


def _render(document: dict[str, Any]) -> bytes:
    """The bytes of a document: ASCII, because a path may hold bytes that are no text."""
    return (json.dumps(document, indent=1) + "\n").encode()


def _sealed(document: dict[str, Any]) -> bytes:
    """The bytes of a document with a last field that proves all others: their SHA-256."""
    return _render({**document, _SEAL: hashlib.sha256(_render(document)).hexdigest()})


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a document with its seal, synced, under its name only when it is whole."""
    write_file(path, _sealed(document))


class Fields:
    """Reads fields of one JSON object; every doubt is a StoreDamaged that names file and field.

    remedy is the command that such a message names as the next step.
    """

    def __init__(self, path: Path, document: object, remedy: str, within: str = "") -> None:
        self.path = path
        self.remedy = remedy
        self._within = within
        if not isinstance(document, dict):
            self.refuse(within.rstrip(".") or "the document", document, "a JSON object")
        self._document: dict[str, Any] = document

    def refuse(self, name: str, found: object, allowed: str) -> NoReturn:
        """Raise StoreDamaged: a field, what it is, what it must be."""
        shown = repr(found)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise StoreDamaged(
            f"{self.path}: {name} is {shown}; it must be {allowed}; next: {self.remedy}"
        )

    def __contains__(self, name: str) -> bool:
        return name in self._document

    def value(self, name: str) -> object:
        """The field as it is; it must be there."""
        if name not in self._document:
            self.refuse(self._within + name, None, "present")
        return self._document[name]

    def integer(self, name: str, low: int, high: int) -> int:
        """An integer of low to high, both allowed."""
        found = self.value(name)
        # bool is an int to Python, not to a reader of the file
        if not isinstance(found, int) or isinstance(found, bool) or not low <= found <= high:
            self.refuse(self._within + name, found, f"an integer from {low} to {high}")
        return found

    def text(self, name: str) -> str:
        """A text of 1 to 4,096 characters without NUL."""
        found = self.value(name)
        if not isinstance(found, str) or not 0 < len(found) <= 4096 or "\0" in found:
            self.refuse(self._within + name, found, "a text of 1 to 4,096 characters")
        return found

    def sha256(self, name: str) -> str:
        """A SHA-256 in hexadecimal."""
        found = self.text(name)
        if len(found) != 64 or set(found) - set("0123456789abcdef"):
            self.refuse(self._within + name, found, "64 hexadecimal digits in lower case")
        return found

    def sha256_list(self, name: str, count: int) -> tuple[str, ...]:
        """A list of `count` SHA-256 in hexadecimal."""
        found = self.value(name)
        if not isinstance(found, list) or len(found) != count:
            self.refuse(self._within + name, found, f"a list of {count}")
        named = {str(number): item for number, item in enumerate(found)}
        fields = Fields(self.path, named, self.remedy, f"{self._within}{name}.")
        return tuple(fields.sha256(number) for number in named)

    def flag(self, name: str) -> bool:
        """True or false."""
        found = self.value(name)
        if not isinstance(found, bool):
            self.refuse(self._within + name, found, "true or false")
        return found

    def inner(self, name: str) -> "Fields":
        """The fields of an object within."""
        return Fields(self.path, self.value(name), self.remedy, self._within + name + ".")

    def each(self, name: str, most: int) -> "list[Fields]":
        """The fields of each object of a list of 1 to `most`."""
        found = self.value(name)
        if not isinstance(found, list) or not 1 <= len(found) <= most:
            self.refuse(self._within + name, found, f"a list of 1 to {most}")
        within = self._within + name
        return [
            Fields(self.path, item, self.remedy, f"{within}[{number}].")
            for number, item in enumerate(found)
        ]

    def items(self) -> list[tuple[str, Any]]:
        """Every field as it is."""
        return list(self._document.items())


def read_document(
    path: Path,
    form: str,
    version: int,
    remedy: str,
    replacing: str = "",
    largest: int = LARGEST_BYTES,
) -> Fields:
    """The fields of the document in a file of at most 64 KiB; its seal proves every byte.

    form is what its field `format` must say; replacing the command that puts another in the place
    of a sound one, where remedy does not. Raises StoreDamaged, and of that StoreForeign for
    another program's file, one from a later pilogo and one from an earlier pilogo.
    """
    try:
        with open_plain(path) as file:
            raw = file.read(largest + 1)
    except FileNotFoundError:
        raise StoreDamaged(f"{path.parent} has no {path.name}; next: {remedy}") from None
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {reason(error)}; next: {remedy}") from None
    if len(raw) > largest:
        raise StoreDamaged(
            f"{path} is larger than {largest} bytes; it is no manifest; next: {remedy}"
        )
    try:
        document = json.loads(raw)
    # RecursionError: thousands of nested brackets
    except (ValueError, RecursionError):
        raise StoreDamaged(f"{path} is not JSON; next: {remedy}") from None
    fields = Fields(path, document, remedy)
    found_form = fields.value("format")
    if found_form != form:
        shown = repr(found_form)[:80]
        raise StoreForeign(
            f"{path}: format is {shown}, another program's; it must be {form!r}; "
            f"next: {replacing or remedy}"
        )
    found = fields.integer("version", 0, 10**9)
    if found > version:
        raise StoreForeign(
            f"{path}: version {found} is too new; this pilogo reads {version}: update pilogo"
        )
    if found < version:
        raise StoreForeign(
            f"{path}: version {found} is too old; this pilogo reads {version}: "
            f"next: {replacing or remedy}"
        )
    rest = {name: value for name, value in document.items() if name != _SEAL}
    try:
        sealed = _sealed(rest)
    except RecursionError:
        sealed = b""
    if raw != sealed:
        raise StoreDamaged(f"{path} is not what was written (its seal); next: {remedy}")
    return fields
