"""What may stand in the place of a store's files: links, pipes, content that means harm."""

import hashlib
import io
import itertools
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hostile_manifests import Case, Make, change, put, read
from small_store import CODER, FAISS, LISTS, MANIFESTS, OF_INDEX

from indexer.checksums import Sums
from indexer.documents import write_document
from indexer.durable import PARTIAL
from indexer.index_folders import INDEX_NAME, OLD_NAME, WORK_DOCUMENT, WORK_NAME
from indexer.index_manifest import CODER_NAME, FAISS_NAME, LISTS_NAME, MANIFEST_NAME
from indexer.manifest import DECIMALS_NAME

PLACES = (*MANIFESTS, DECIMALS_NAME, CODER, FAISS, LISTS, INDEX_NAME)


def moved_out(path: Path, outside: Path) -> None:
    """The very file or folder, outside, and a link to it in its place."""
    path.rename(outside / path.name)
    path.symlink_to(outside / path.name)


def relative_link(path: Path, outside: Path) -> None:
    path.rename(outside / path.name)
    path.symlink_to(Path(os.path.relpath(outside, path.parent), path.name))


def link_to(target: str) -> Make:
    def make(path: Path, outside: Path) -> None:
        clear(path)
        path.symlink_to(target.format(outside=outside, name=path.name))

    return make


def clear(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def pipe(path: Path, outside: Path) -> None:
    clear(path)
    os.mkfifo(path)


def other_kind(path: Path, outside: Path) -> None:
    """A folder in a file's place, a file in a folder's."""
    folder = path.is_dir()
    clear(path)
    path.write_bytes(b"{}") if folder else path.mkdir()


KINDS = {
    "a link to it, outside": moved_out,
    "a relative link to it, outside": relative_link,
    "a link to a secret": link_to("{outside}/secret"),
    "a link to nothing": link_to("{outside}/nothing"),
    "a link to itself": link_to("{name}"),
    "a link to /dev/zero": link_to("/dev/zero"),
    "a link to the root": link_to("/"),
    "a pipe": pipe,
    "a folder for a file": other_kind,
}


def _at(name: str, make: Make) -> Make:
    """What is put in the place of a name in a folder."""
    return lambda folder, outside: make(folder / name, outside)


def kind_cases() -> list[Case]:
    """Without a folder of its own there is no index, and every window is compared."""
    return [
        Case(f"{place}: {label}", _at(place, make), harmless=place == INDEX_NAME)
        for (label, make), place in itertools.product(KINDS.items(), PLACES)
    ]


def old_index_outside(store: Path, outside: Path) -> None:
    (store / INDEX_NAME).rename(outside / OLD_NAME)
    (store / OLD_NAME).symlink_to(outside / OLD_NAME)


def work_outside(store: Path, outside: Path) -> None:
    shutil.copytree(store / INDEX_NAME, outside / WORK_NAME)
    (store / WORK_NAME).symlink_to(outside / WORK_NAME)


# --- content that its manifest proves -----------------------------------------------------------


def prove(store: Path, name: str, content: bytes) -> None:
    """A file of the index with other content, and the manifest that says so."""
    put(store / name, content)
    record: dict[str, Any] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    if name == LISTS:
        sums = Sums(len(content))
        sums.update(memoryview(content))
        record = sums.record().to_document()
    change(store / OF_INDEX, (Path(name).name,), record)


def packed(content: bytes) -> bytes:
    """An archive of one array's file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archived:
        archived.writestr("weights.npy", content)
    return stream.getvalue()


def header(n_bytes: int) -> bytes:
    """What stands before the data of an array of so many bytes."""
    stream = io.BytesIO()
    facts = {"descr": "|i1", "fortran_order": False, "shape": (n_bytes,)}
    np.lib.format.write_array_header_1_0(stream, facts)
    return stream.getvalue()


def with_arrays(**other: Any) -> Callable[[bytes], bytes]:
    """The coder's arrays, some of them changed: each by a function of what it was."""

    def make(sound: bytes) -> bytes:
        stream = io.BytesIO()
        with np.load(io.BytesIO(sound)) as archived:
            arrays = {name: archived[name] for name in archived.files}
        np.savez(stream, **{k: other[k](v) if k in other else v for k, v in arrays.items()})
        return stream.getvalue()

    return make


def with_zip_field(at_file: int, at_directory: int, value: int) -> Callable[[bytes], bytes]:
    """The archive with two bytes changed in each header of a file and of the directory."""

    def make(sound: bytes) -> bytes:
        changed = bytearray(sound)
        for magic, at in ((b"PK\x03\x04", at_file), (b"PK\x01\x02", at_directory)):
            for found in re.finditer(re.escape(magic), sound):
                changed[found.start() + at : found.start() + at + 2] = value.to_bytes(2, "little")
        return bytes(changed)

    return make


def one_array(sound: bytes) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(100, np.int8))
    return stream.getvalue()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "150 MB when unpacked": lambda sound: packed(header(150 * 10**6) + bytes(150 * 10**6)),
    "10^12 bytes by its header": lambda sound: packed(header(10**12)),
    "no archive": lambda sound: b"x" * 100,
    "one byte": lambda sound: b"P",
    "an array": one_array,
    "an archive of nothing": lambda sound: b"PK\x05\x06" + bytes(18),
    "an archive without directory": lambda sound: sound[:5000],
    "an archive and NULs": lambda sound: b"PK\x03\x04" + bytes(100),
    "a checksum that is wrong": lambda sound: sound[:1000] + b"\x55" + sound[1001:],
    "encrypted": with_zip_field(6, 8, 1),
    "packed in an unknown way": with_zip_field(8, 10, 99),
    "packed, and not": with_zip_field(8, 10, 8),
    "objects": with_arrays(weights=lambda old: np.array([{}, []], object)),
    "a text": with_arrays(weights=lambda old: np.array("weights")),
    "no dimensions": with_arrays(centroids=lambda old: np.int8(1)),
    "no centroids": with_arrays(centroids=lambda old: old[:, :0]),
    "one centroid": with_arrays(centroids=lambda old: old[:, :1]),
    "512 centroids": with_arrays(centroids=lambda old: np.resize(old, (2, 512, 24))),
    "weights of 64 bits": with_arrays(weights=lambda old: old.astype(np.int64)),
    "factors that are no numbers": with_arrays(factors=lambda old: old * np.float32("nan")),
    "infinite factors": with_arrays(factors=lambda old: old * np.float32("inf")),
}


def with_rows(column: int, value: int) -> Callable[[bytes, int], bytes]:
    """The index with one column of its directory (size, room, offset) the same everywhere."""

    def make(sound: bytes, at: int) -> bytes:
        rows = np.frombuffer(sound[at : at + 24 * 256], np.int64).reshape(-1, 3).copy()
        rows[:, column] = value
        return sound[:at] + rows.tobytes() + sound[at + rows.nbytes :]

    return make


INDEXES: dict[str, Callable[[bytes, int], bytes]] = {
    **{
        f"{name} {value}": with_rows(column, value)
        for column, name in enumerate(("sizes", "rooms", "offsets"))
        for value in (-1, -(2**63), 0, 1, 7, 2_000_000, 2**31, 2**62, 2**63 - 1)
    },
    "cut before its directory": lambda sound, at: sound[:at],
    "cut in its directory": lambda sound, at: sound[: at + 100],
    "256 MB": lambda sound, at: sound + bytes((1 << 28) - len(sound)),
    "256 MB and a byte": lambda sound, at: sound + bytes((1 << 28) + 1 - len(sound)),
}
LISTS_CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "all bits set": lambda sound: b"\xff" * len(sound),
    "no bit set": lambda sound: bytes(len(sound)),
    "the largest ids": lambda sound: b"\xff\xff\xff\xff\xff\xff\xff\x7f" * (len(sound) // 8),
    "turned round": lambda sound: sound[::-1],
    "one byte": lambda sound: b"x",
    "half": lambda sound: sound[: len(sound) // 2],
    "a byte less": lambda sound: sound[:-1],
}


def content_cases(sound: Path) -> list[Case]:
    """Files that are not what we write, and whose manifests say what they are."""
    at = read(sound / OF_INDEX)["directory_at"]
    coder, index, lists = ((sound / name).read_bytes() for name in (CODER, FAISS, LISTS))
    made: list[tuple[str, str, Callable[[], bytes]]] = [
        *((CODER, label, partial(make, coder)) for label, make in CODERS.items()),
        *((FAISS, label, partial(make, index, at)) for label, make in INDEXES.items()),
        *((LISTS, label, partial(make, lists)) for label, make in LISTS_CONTENTS.items()),
    ]
    places = (1, 7, at - 24, at - 1, at + 1, at + 24, at + 1000, len(index))
    return [
        *(Case(f"{name}: {label}", _proven(name, make)) for name, label, make in made),
        *(Case(f"{OF_INDEX}: directory_at {place}, not {at}", _with_directory_at(place))
          for place in places),
    ]  # fmt: skip


def _proven(name: str, content: Callable[[], bytes]) -> Make:
    return lambda store, outside: prove(store, name, content())


def _with_directory_at(place: int) -> Make:
    return lambda store, outside: change(store / OF_INDEX, ("directory_at",), place)


# --- a file used in place -----------------------------------------------------------------------

FEW = 100
SECRET = b"kept secret: " * 20
DIGITS = bytes(np.random.default_rng(8).integers(48, 58, FEW + 2, dtype=np.uint8))


@dataclass(frozen=True)
class InPlace:
    """What a manifest says of the file that is used in place, and what must not be told of it.

    path may name {outside}, where SECRET and DIGITS are; the sound file has FEW + 2 bytes.
    """

    path: str
    skip: int
    n_bytes: int
    kept: str = "0x"

    def __str__(self) -> str:
        return f"in place: {self.path!r}, {self.n_bytes} bytes, skip {self.skip}"

    def make(self, store: Path, outside: Path) -> None:
        """Write the manifest."""
        document = read(store / MANIFEST_NAME)
        path = self.path.format(outside=outside)
        document["file"] |= {"path": path, "skip": self.skip, "bytes": self.n_bytes}
        write_document(store / MANIFEST_NAME, document)


def in_place_cases() -> list[InPlace]:
    """Files of the recorded size and not, in order of what could be told of them."""
    secret, digits = "{outside}/secret", "{outside}/digits"
    words, number = "secret: kept", DIGITS[2:14].decode()
    passwords = Path("/etc/passwd").read_text("ascii", "replace")
    last = len(passwords) - FEW
    return [
        InPlace(digits, 2, FEW + 2, number),
        InPlace(digits, 0, FEW + 2, number),
        InPlace("{outside}/link", 2, FEW + 2, number),
        InPlace(secret, 0, len(SECRET), words),
        InPlace(secret, 2, len(SECRET), words),
        InPlace(secret, len(SECRET) - FEW, len(SECRET), words),
        InPlace(secret, 2, FEW + 2, words),
        InPlace("/etc/passwd", 0, len(passwords), passwords[:10]),
        InPlace("/etc/passwd", last, len(passwords), passwords[-10:-1]),
        InPlace("/proc/self/environ", 0, FEW),
        InPlace("/proc/self/environ", 0, 0),
        InPlace("/dev/zero", 0, FEW),
        InPlace("{outside}/pipe", 0, FEW),
        InPlace("{outside}", 0, 4096),
        InPlace("{outside}/nothing", 0, FEW),
        InPlace("{outside}/two\nlines", 0, FEW),
        InPlace("{outside}/\x1b]0;title\x07", 0, FEW),
        InPlace("{outside}/\ud800", 0, FEW),
        InPlace("../outside/secret", 0, len(SECRET), words),
        InPlace(DECIMALS_NAME, 0, FEW),
    ]


# --- where a command writes ---------------------------------------------------------------------

TINY = 20_000
TINY_STORE = f"pi-{TINY}"
BUILD = ("build", "--digits", str(TINY))
COMPUTE = ("digits", "compute", "1000")
IMPORT = ("digits", "import", "{decimals}", "--first", "1000")


@dataclass(frozen=True)
class Writing:
    """A home made hostile, and a command that writes there: make(home, a folder outside).

    The home has a store of TINY decimals with its index; where it is begun, with the work of a
    build that did not end.
    """

    label: str
    make: Make
    begun: bool = False
    command: tuple[str, ...] = BUILD


def _in_work(name: str, make: Make) -> Make:
    """What is put in the place of a file of the work; {part} is the one of a part."""

    def made(home: Path, outside: Path) -> None:
        work = home / TINY_STORE / WORK_NAME
        (part,) = (path.name for path in work.glob("part-*.bin"))
        path = work / name.format(part=part)
        if path.suffix == PARTIAL:  # the file is to be written again, at first under this name
            path.with_suffix("").unlink(missing_ok=True)
            path.write_bytes(b"")
        make(path, outside)

    return made


def _linked(name: str, less: str = "") -> Make:
    """A name in the home that is a link to a store outside, without some of its files."""

    def make(home: Path, outside: Path) -> None:
        ignore = shutil.ignore_patterns(less)
        shutil.copytree(home / TINY_STORE, outside / "store", ignore=ignore)
        (home / name).symlink_to(outside / "store")

    return make


def _index_linked(name: str, *, only: bool = False) -> Make:
    """A folder of an index that is a link to a copy outside; only: there is no other."""

    def make(home: Path, outside: Path) -> None:
        store = home / TINY_STORE
        shutil.copytree(store / INDEX_NAME, outside / "copy")
        if only:
            shutil.rmtree(store / INDEX_NAME)
        (store / name).symlink_to(outside / "copy")

    return make


def _replaced(name: str) -> Make:
    """A store that is to be replaced, a name in it a link to what was there."""

    def make(home: Path, outside: Path) -> None:
        shutil.copytree(home / TINY_STORE, home / "pi-1000")
        moved_out(home / "pi-1000" / name, outside)

    return make


def writing_cases() -> list[Writing]:
    """What each command that writes may meet; never a link to the root."""
    kinds = {label: make for label, make in KINDS.items() if "root" not in label}
    of_index = (OF_INDEX, CODER, FAISS, LISTS)
    of_work = (WORK_DOCUMENT, CODER_NAME, "{part}")
    written = (CODER_NAME, "{part}", LISTS_NAME, FAISS_NAME, MANIFEST_NAME)
    folders = ((INDEX_NAME, True), (OLD_NAME, True), (OLD_NAME, False), (WORK_NAME, False))
    cases = [
        Writing(f"build, {name}: a link outside", _index_linked(name, only=only))
        for name, only in folders
    ]
    for label, make in kinds.items():
        cases.append(Writing(f"build, lock: {label}", _at(f"{TINY_STORE}.lock", make)))
        cases += [
            Writing(f"build, {name}: {label}", _at(f"{TINY_STORE}/{name}", make))
            for name in of_index
        ]
        cases += [
            Writing(f"build goes on, {name}: {label}", _in_work(name, make), begun=True)
            for name in of_work
        ]
    for label, name in itertools.product(("a link to a secret", "a pipe"), written):
        made = _in_work(name + PARTIAL, kinds[label])
        cases.append(Writing(f"build goes on, {name}{PARTIAL}: {label}", made, begun=True))
    for name in ("pi-1000.wip", "pi-1000.old"):
        made = _linked(name, "index*")
        cases.append(Writing(f"compute, {name}: a link to decimals", made, command=COMPUTE))
        made = _linked(name)
        cases.append(Writing(f"compute, {name}: a link to a store", made, command=COMPUTE))
    made = _linked("pi-import.wip", "index*")
    cases.append(Writing("import, pi-import.wip: a link to decimals", made, command=IMPORT))
    for name in (MANIFEST_NAME, DECIMALS_NAME, INDEX_NAME):
        label = f"compute --replace, {name}: a link to it, outside"
        cases.append(Writing(label, _replaced(name), command=(*COMPUTE, "--replace")))
    return cases
