"""Manifests that mean harm, most of them validly sealed: hostile values, documents, chance."""

import copy
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from small_store import MANIFESTS, OF_INDEX

from indexer.documents import LARGEST_BYTES, write_document
from indexer.index_manifest import CODER_NAME, FAISS_NAME, LISTS_NAME, MANIFEST_NAME

Keys = tuple[str | int, ...]
Make = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Case:
    """A store made hostile: make(folder of the store, a folder outside of its home).

    harmless: what is made may also be used as if it were sound.
    """

    label: str
    make: Make
    harmless: bool = False


def read(path: Path) -> dict[str, Any]:
    """A manifest without its seal."""
    document = json.loads(path.read_bytes())
    del document["seal"]
    return document


def parent_of(document: Any, keys: Keys) -> Any:
    """What holds the value that the keys lead to."""
    for key in keys[:-1]:
        document = document[key]
    return document


def change(path: Path, keys: Keys, value: object) -> None:
    """Write a manifest with one field changed, and its seal."""
    document = read(path)
    parent_of(document, keys)[keys[-1]] = value
    write_document(path, document)


def put(path: Path, content: bytes) -> None:
    """A new file in the place of one that another name has too."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


TEXTS: list[tuple[str, Keys]] = [
    (MANIFEST_NAME, ("format",)),
    (MANIFEST_NAME, ("constant",)),
    (MANIFEST_NAME, ("file", "path")),
    (MANIFEST_NAME, ("made", "how")),
    (MANIFEST_NAME, ("made", "with")),
    (MANIFEST_NAME, ("made", "when")),
    (MANIFEST_NAME, ("decimals", "sha256")),
    (MANIFEST_NAME, ("decimals", "ends_sha256")),
    (MANIFEST_NAME, ("decimals", "blocks", 0)),
    (OF_INDEX, ("format",)),
    (OF_INDEX, ("decimals_sha256",)),
    (OF_INDEX, (CODER_NAME, "sha256")),
    (OF_INDEX, ("faiss",)),
    (OF_INDEX, (FAISS_NAME, "sha256")),
    (OF_INDEX, (LISTS_NAME, "ends_sha256")),
    (OF_INDEX, (LISTS_NAME, "blocks", 0)),
]
NUMBERS: list[tuple[str, Keys]] = [
    *((name, ("version",)) for name in MANIFESTS),
    (MANIFEST_NAME, ("n",)),
    (MANIFEST_NAME, ("first_offset",)),
    (MANIFEST_NAME, ("file", "in_place")),
    (MANIFEST_NAME, ("file", "bytes")),
    (MANIFEST_NAME, ("file", "skip")),
    (MANIFEST_NAME, ("digit_counts", 3)),
    (MANIFEST_NAME, ("decimal_hash",)),
    (MANIFEST_NAME, ("made", "seconds")),
    (MANIFEST_NAME, ("decimals", "bytes")),
    (MANIFEST_NAME, ("decimals", "block_bytes")),
    (OF_INDEX, ("n",)),
    (OF_INDEX, (CODER_NAME, "bytes")),
    (OF_INDEX, ("directory_at",)),
    (OF_INDEX, (FAISS_NAME, "bytes")),
    (OF_INDEX, (LISTS_NAME, "bytes")),
    (OF_INDEX, (LISTS_NAME, "block_bytes")),
]
HOSTILE_TEXTS = [
    "{outside}/secret",
    "../../../outside/secret",
    "decimals.txt/../../../outside/secret",
    "../" * 20 + "etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "/proc/self/mem",
    "",
    ".",
    "a\0b",
    "\ud800",
    "two\nlines",
    "\r\x1b[2J\x1b]0;title\x07",
    "%s%n{0}",
    "x" * 5000,
    "00" * 32,
    "AB" * 32,
]
HOSTILE_NUMBERS: list[object] = [
    -1, 0, 1, 2, 2**31, 2**52 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 10**4000, 0.5, 2e6, 1e308,
    float("nan"), float("inf"), -float("inf"), True, False, None, "7", [], {}, [[]],
]  # fmt: skip


def _is_harmless(keys: Keys, value: object) -> bool:
    """Whether a value may stand there: what is only told to people may be any short text."""
    return (
        (keys[0] == "made" and isinstance(value, str) and len(value) <= 4000)
        or (keys == ("made", "seconds") and isinstance(value, bool | int | float))
        or (keys[-1] == "in_place" and value is False)
    )


def _with_field(name: str, keys: Keys, value: object) -> Make:
    """What writes a manifest with a hostile value in one field."""

    def make(store: Path, outside: Path) -> None:
        text = isinstance(value, str)
        change(store / name, keys, value.replace("{outside}", str(outside)) if text else value)

    return make


def field_cases(sound: Path) -> list[Case]:
    """Every hostile value in every field, where it is another than the sound one."""
    cases = []
    pairs = [
        *itertools.product(TEXTS, HOSTILE_TEXTS),
        *itertools.product(NUMBERS, HOSTILE_NUMBERS),
    ]
    for (name, keys), value in pairs:
        there = parent_of(read(sound / name), keys)[keys[-1]]
        if (there, type(there)) != (value, type(value)):
            label = f"{name}, {'.'.join(map(str, keys))}: {value!r}"[:200]
            made = _with_field(name, keys, value)
            cases.append(Case(label, made, _is_harmless(keys, value)))
    return cases


def nested(depth: int) -> bytes:
    """Brackets in brackets."""
    return b"[" * depth + b"]" * depth


def with_field(sound: bytes, field: bytes) -> bytes:
    """The document with one more field, as text, before its seal."""
    return sound.replace(b'\n "seal"', b'\n "extra": ' + field + b',\n "seal"')


def _with_size(name: str, size: int) -> Make:
    """What writes the document with a field that makes it so many bytes long."""

    def make(store: Path, outside: Path) -> None:
        path = store / name
        document = read(path)
        write_document(path, {**document, "padding": ""})
        room = size - path.stat().st_size
        write_document(path, {**document, "padding": "x" * room})

    return make


def _without_end(name: str) -> Make:
    """What makes a file of 1 GB of NULs behind the document; it takes no room."""

    def make(store: Path, outside: Path) -> None:
        put(store / name, (store / name).read_bytes())
        os.truncate(store / name, 1 << 30)

    return make


def _with_content(name: str, content: bytes) -> Make:
    return lambda store, outside: put(store / name, content)


def with_document(name: str, document: dict[str, Any]) -> Make:
    """What writes a manifest, sealed."""
    return lambda store, outside: write_document(store / name, document)


RAW: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda sound: b"",
    "one NUL": lambda sound: b"\0",
    "NULs at the end": lambda sound: sound + bytes(100),
    "NULs between": lambda sound: sound.replace(b"\n", b"\0"),
    "byte order mark": lambda sound: b"\xef\xbb\xbf" + sound,
    "UTF-16": lambda sound: sound.decode().encode("utf-16"),
    "UTF-32": lambda sound: sound.decode().encode("utf-32-le"),
    "bad UTF-8 in a text": lambda sound: sound.replace(b'"pi', b'"\xff\xfe'),
    "bad UTF-8 before": lambda sound: b"\x80" + sound,
    "overlong UTF-8": lambda sound: with_field(sound, b'"\xc0\xaf"'),
    "a list": lambda sound: b"[" + sound + b"]",
    "a number": lambda sound: b"1",
    "null": lambda sound: b"null",
    "a text": lambda sound: b'"pilogo"',
    "twice": lambda sound: sound + sound,
    "cut": lambda sound: sound[: len(sound) // 2],
    "a comment": lambda sound: sound + b"// sound\n",
    "a blank line": lambda sound: sound + b"\n",
    "version twice": lambda sound: sound.replace(b' "version"', b' "version": 9,\n "version"'),
    "seal twice": lambda sound: sound.replace(b' "seal"', b' "seal": "",\n "seal"'),
    "n twice": lambda sound: sound.replace(b' "n"', b' "n": 84,\n "n"', 1),
    "no seal": lambda sound: re.sub(rb',\n "seal": "\w+"', b"", sound),
    "5,000 digits": lambda sound: with_field(sound, b"9" * 5000),
    "1e999": lambda sound: with_field(sound, b"1e999"),
    "-1e999": lambda sound: with_field(sound, b"-1e999"),
    "NaN": lambda sound: with_field(sound, b"NaN"),
    "a million blocks": lambda sound: with_field(sound, b"[" + b'"' + b"ab" * 32 + b'",' * 10**6),
    "5,000 fields": lambda sound: with_field(
        sound, b"{" + b",".join(b'"%d":0' % k for k in range(5000)) + b"}"
    ),
    **{
        f"{depth} brackets deep": lambda sound, depth=depth: with_field(sound, nested(depth))
        for depth in (100, 500, *range(900, 1000, 10), 5000, 30_000)
    },
    "900 objects deep": lambda sound: with_field(sound, b'{"a":' * 900 + b"0" + b"}" * 900),
}


def document_cases(sound: Path) -> list[Case]:
    """Each manifest as other bytes, without each of its fields, as large as it may be."""
    cases = []
    for name in MANIFESTS:
        content, document = (sound / name).read_bytes(), read(sound / name)
        for label, make in RAW.items():
            hostile = make(content)
            if hostile != content:
                cases.append(Case(f"{name}: {label}", _with_content(name, hostile)))
        for key in document:
            less = {other: value for other, value in document.items() if other != key}
            cases.append(Case(f"{name}: no {key}, sealed", with_document(name, less)))
        deep = with_document(name, {**document, "deep": json.loads(nested(200))})
        cases.append(Case(f"{name}: 200 brackets deep, sealed", deep, harmless=True))
        cases.append(Case(f"{name}: 1 GB", _without_end(name)))
        for size in (LARGEST_BYTES, LARGEST_BYTES + 1):
            made = _with_size(name, size)
            label = f"{name}: {size} bytes, sealed"
            cases.append(Case(label, made, harmless=size == LARGEST_BYTES))
    document = {**read(sound / MANIFEST_NAME), "made": {"\x1b[2J\nkey": []}}
    made = with_document(MANIFEST_NAME, document)
    return [*cases, Case(f"{MANIFEST_NAME}: a name that cannot be printed, sealed", made)]


VALUES = [*HOSTILE_TEXTS, *HOSTILE_NUMBERS]


def places_in(value: object, path: Keys = ()) -> Iterator[Keys]:
    """The way to every value in a document."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, item in inner:
        yield (*path, key)
        yield from places_in(item, (*path, key))


def nudged(value: object, random: np.random.Generator) -> object:
    """A value that is nearly the same."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return [value + 1, value - 1, 2 * value, value // 2, -value, value ^ 1 << 40][
            random.integers(6)
        ]
    if isinstance(value, float):
        return value * 2
    if isinstance(value, str) and value:
        at = int(random.integers(len(value)))
        return value[:at] + "0123456789abcdef"[random.integers(16)] + value[at + 1 :]
    return [value]


def mutated(document: dict, donors: list[dict], random: np.random.Generator) -> dict:
    """A document with one to three changes."""
    document = copy.deepcopy(document)
    for _ in range(random.integers(1, 4)):
        places = list(places_in(document))
        if not places:
            break
        path = places[random.integers(len(places))]
        parent, key = parent_of(document, path), path[-1]
        donor = donors[random.integers(len(donors))]
        others = list(places_in(donor))
        other = others[random.integers(len(others))]
        match random.integers(6):
            case 0:
                parent[key] = VALUES[random.integers(len(VALUES))]
            case 1 | 2:
                parent[key] = nudged(parent[key], random)
            case 3:
                del parent[key]
            case 4:
                parent[key] = copy.deepcopy(parent_of(donor, other)[other[-1]])
            case 5 if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case _:
                parent[f"{key}"[::-1]] = parent.pop(key)
    return document


def random_cases(sound: Path, count: int) -> list[Case]:
    """Manifests changed at random; the seeds count from 0."""
    donors = [read(sound / name) for name in MANIFESTS]
    cases = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        number = int(random.integers(len(MANIFESTS)))
        document = mutated(donors[number], donors, random)
        made = with_document(MANIFESTS[number], document)
        cases.append(Case(f"{MANIFESTS[number]}, seed {seed}", made, harmless=True))
    return cases
