"""The files of an index: their manifests, and opening them.

    STORE/index/manifest.json                  which decimals, which shards, which codebooks
    STORE/index/coder.npz                      projection and codebooks, shared by all shards
    STORE/index/shard-000000000000/            named after its first window's start
        manifest.json                          which windows, and size and sha256 of both files
        index.faiss                            codebooks and the directory of lists; FAISS reads it
        lists.bin                              codes and ids
    STORE/index.wip/                           being built: nothing reads it, the next run goes on

Manifests hold nothing that differs from run to run, so the same decimals, corpus and seed give the
same bytes in every file.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.cells import (
    CODEWORDS,
    GROUP_DIRECTIONS,
    GROUPS,
    LARGEST_BITS,
    SMALLEST_BITS,
    SUBCODE_DIRECTIONS,
    SUBCODES,
    Coder,
)
from indexer.constants import MAX_DIGITS, MIN_DIGITS
from indexer.digits import DigitStore
from indexer.documents import Fields, read_document, seal, write_document
from indexer.errors import StoreDamaged, StoreMissing, reason
from indexer.home import build_command
from indexer.manifest import read_manifest
from indexer.mapping import map_bytes
from indexer.projection import DIRECTIONS, Projection
from indexer.window import WINDOW, count_windows

INDEX_NAME = "index"
WORK_NAME = "index.wip"
OLD_NAME = "index.old"
LOCK_NAME = "index.lock"
WORK_DOCUMENT = "work.json"
MANIFEST_NAME = "manifest.json"
CODER_NAME = "coder.npz"
FAISS_NAME = "index.faiss"
LISTS_NAME = "lists.bin"
_FORMAT = "pilogo-index"
_SHARD_FORMAT = "pilogo-index-shard"
VERSION = 1
MOST_SHARDS = 4096
_LARGEST_CODER = 1 << 20


@dataclass(frozen=True)
class FileRecord:
    """What a manifest says of a file: its bytes and their SHA-256."""

    n_bytes: int
    sha256: str

    def to_document(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return {"bytes": self.n_bytes, "sha256": self.sha256}


@dataclass(frozen=True)
class ShardManifest:
    """Windows [first_start, first_start + n_windows) and the two files that hold them.

    directory_at is the byte in index.faiss where the directory of lists begins.
    """

    build: str
    first_start: int
    n_windows: int
    directory_at: int
    index: FileRecord
    lists: FileRecord

    @property
    def name(self) -> str:
        """The folder's name."""
        return shard_name(self.first_start)

    def to_document(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        return {
            "format": _SHARD_FORMAT,
            "version": VERSION,
            "build": self.build,
            "first_start": self.first_start,
            "n_windows": self.n_windows,
            "directory_at": self.directory_at,
            FAISS_NAME: self.index.to_document(),
            LISTS_NAME: self.lists.to_document(),
        }


@dataclass(frozen=True)
class IndexManifest:
    """An index: the decimals it is of, its codebooks, and the (first_start, n_windows) of shards.

    build is a hash of all that decides the files' bytes.
    """

    build: str
    n: int
    decimals_sha256: str
    coder: FileRecord
    shards: tuple[tuple[int, int], ...]

    def to_document(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        return {
            "format": _FORMAT,
            "version": VERSION,
            "build": self.build,
            "n": self.n,
            "decimals_sha256": self.decimals_sha256,
            CODER_NAME: self.coder.to_document(),
            "shards": [{"first_start": first, "n_windows": count} for first, count in self.shards],
        }


def shard_name(first_start: int) -> str:
    """The folder of the shard that begins at a start."""
    return f"shard-{first_start:015d}"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_record(fields: Fields, name: str) -> FileRecord:
    inner = fields.inner(name)
    return FileRecord(inner.integer("bytes", 1, 1 << 50), inner.sha256("sha256"))


def read_shard_manifest(folder: Path, remedy: str) -> ShardManifest:
    """The manifest of a shard's folder; StoreDamaged where it is missing or doubtful."""
    fields = read_document(folder / MANIFEST_NAME, _SHARD_FORMAT, VERSION, remedy, sealed=True)
    index = _read_record(fields, FAISS_NAME)
    return ShardManifest(
        fields.sha256("build"),
        fields.integer("first_start", 0, MAX_DIGITS),
        fields.integer("n_windows", 1, MAX_DIGITS),
        fields.integer("directory_at", 1, index.n_bytes),
        index,
        _read_record(fields, LISTS_NAME),
    )


def read_index_manifest(folder: Path, remedy: str) -> IndexManifest:
    """The manifest of an index's folder; StoreDamaged where it is missing or doubtful.

    Shards must follow each other without gap or overlap, and together cover the n decimals.
    """
    fields = read_document(folder / MANIFEST_NAME, _FORMAT, VERSION, remedy, sealed=True)
    n = fields.integer("n", MIN_DIGITS, MAX_DIGITS)
    shards = []
    next_start = 0
    for shard in fields.each("shards", MOST_SHARDS):
        first = shard.integer("first_start", next_start, next_start)
        count = shard.integer("n_windows", 1, count_windows(n) - first)
        shards.append((first, count))
        next_start = first + count
    if next_start != count_windows(n):
        fields.refuse("shards", f"{next_start} windows", f"{count_windows(n)} of n = {n}")
    return IndexManifest(
        fields.sha256("build"),
        n,
        fields.sha256("decimals_sha256"),
        _read_record(fields, CODER_NAME),
        tuple(shards),
    )


def coder_bytes(coder: Coder) -> bytes:
    """The content of coder.npz: arrays without pickles, the same bytes for the same coder."""
    stream = io.BytesIO()
    np.savez(
        stream,
        weights=coder.projection.weights,
        factors=coder.projection.factors,
        centroids=coder.centroids,
        codewords=coder.codewords,
    )
    return stream.getvalue()


def read_coder(path: Path, record: FileRecord, remedy: str) -> Coder:
    """The coder in a file whose bytes the record proves; StoreDamaged otherwise."""
    content = _read_proven(path, record, _LARGEST_CODER, remedy)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        centroids = arrays["centroids"]
        bits = int(centroids.shape[1]).bit_length() - 1
        shapes = {
            "weights": ((DIRECTIONS, 2, WINDOW), np.int8),
            "factors": ((DIRECTIONS,), np.float32),
            "centroids": ((GROUPS, 1 << bits, GROUP_DIRECTIONS), np.int8),
            "codewords": ((SUBCODES, CODEWORDS, SUBCODE_DIRECTIONS), np.int8),
        }
        sound = SMALLEST_BITS <= bits <= LARGEST_BITS and all(
            arrays[name].shape == shape and arrays[name].dtype == kind
            for name, (shape, kind) in shapes.items()
        )
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise StoreDamaged(f"{path} is no coder: {reason(error)}; next: {remedy}") from None
    if not sound:
        raise StoreDamaged(f"{path} has arrays of other shapes than a coder's; next: {remedy}")
    projection = Projection(arrays["weights"], arrays["factors"])
    return Coder(projection, centroids, arrays["codewords"])


def _read_proven(path: Path, record: FileRecord, most: int, remedy: str) -> bytes:
    """The bytes of a small file, after their number and hash are found to be as recorded."""
    _check_size(path, record, remedy)
    if record.n_bytes > most:
        raise StoreDamaged(f"{path} has {record.n_bytes} bytes; allowed are {most}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {reason(error)}") from None
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise StoreDamaged(f"{path} is not what its manifest says (sha256); next: {remedy}")
    return content


def _check_size(path: Path, record: FileRecord, remedy: str) -> None:
    try:
        found = path.stat().st_size if path.is_file() and not path.is_symlink() else None
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {reason(error)}") from None
    if found is None:
        raise StoreDamaged(f"{path} is missing; next: {remedy}")
    if found != record.n_bytes:
        raise StoreDamaged(
            f"{path} has {found} bytes; the manifest says {record.n_bytes}; next: {remedy}"
        )


@dataclass(frozen=True, eq=False)
class Shard:
    """Inverted lists of consecutive windows, mapped.

    directory is int64[n_cells, 3]: windows in a list, room for them, byte offset; lists is uint8.
    """

    first_start: int
    n_windows: int
    folder: Path
    directory: NDArray[np.int64]
    lists: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Index:
    """An index that is complete: the decimals it covers, its coder and its shards."""

    folder: Path
    build: str
    n: int
    coder: Coder
    shards: tuple[Shard, ...]


def has_index(store: DigitStore) -> bool:
    """Whether the store has an index, sound or not."""
    return (store.folder / INDEX_NAME).is_dir()


def is_half_built(store: DigitStore) -> bool:
    """Whether the store's index was begun and not finished."""
    return not has_index(store) and (store.folder / WORK_NAME).is_dir()


def open_index(store: DigitStore) -> Index:
    """The index of a store, mapped.

    Sizes are compared with the manifests, the coder and the directories of lists with their
    hashes; what the lists hold is not read. Raises StoreMissing where there is none, StoreDamaged
    where something is doubtful.
    Cost: 24 bytes a list are read.
    """
    folder = store.folder / INDEX_NAME
    remedy = build_command(store.folder, replace=True)
    if not folder.is_dir():
        raise StoreMissing(f"{store.folder} has no index; next: {build_command(store.folder)}")
    manifest = read_index_manifest(folder, remedy)
    if (manifest.n, manifest.decimals_sha256) != (store.n, store.summary.sha256):
        raise StoreDamaged(
            f"{folder} is the index of other decimals than {store.path} holds; next: {remedy}"
        )
    coder = read_coder(folder / CODER_NAME, manifest.coder, remedy)
    shards = [
        _open_shard(folder, manifest, first, count, coder.n_cells)
        for first, count in manifest.shards
    ]
    return Index(folder, manifest.build, manifest.n, coder, tuple(shards))


def _open_shard(
    parent: Path, manifest: IndexManifest, first: int, n_windows: int, n_cells: int
) -> Shard:
    remedy = build_command(parent.parent, replace=True)
    folder = parent / shard_name(first)
    if folder.is_symlink():
        raise StoreDamaged(f"{folder} is a link out of the store; next: {remedy}")
    shard = read_shard_manifest(folder, remedy)
    found = (shard.build, shard.first_start, shard.n_windows)
    if found != (manifest.build, first, n_windows):
        raise StoreDamaged(f"{folder} belongs to another build of the index; next: {remedy}")
    index_path, lists_path = folder / FAISS_NAME, folder / LISTS_NAME
    _check_size(index_path, shard.index, remedy)
    _check_size(lists_path, shard.lists, remedy)
    if shard.directory_at + 24 * n_cells > shard.index.n_bytes:
        raise StoreDamaged(f"{index_path} is too short for its directory; next: {remedy}")
    if sha256_of(index_path) != shard.index.sha256:
        raise StoreDamaged(f"{index_path} is not what its manifest says (sha256); next: {remedy}")
    try:
        size = 24 * n_cells
        mapped = map_bytes(index_path)[shard.directory_at : shard.directory_at + size]
        directory = np.ndarray((n_cells, 3), np.int64, mapped)  # at any byte: it need not be even
        lists = map_bytes(lists_path)
    except (OSError, ValueError) as error:
        raise StoreDamaged(f"{folder} cannot be mapped: {reason(error)}") from None
    return Shard(first, n_windows, folder, directory, lists)


def write_shard_manifest(folder: Path, manifest: ShardManifest) -> None:
    """Write a shard's manifest, synced, last of its files."""
    write_document(folder / MANIFEST_NAME, seal(manifest.to_document()))


def write_index_manifest(folder: Path, manifest: IndexManifest) -> None:
    """Write the index's manifest, synced, last of all files."""
    write_document(folder / MANIFEST_NAME, seal(manifest.to_document()))


def hand_over_index(old: Path, new: Path) -> None:
    """Take the index of a store that is being replaced into the new store, or remove it.

    It is kept where it is of the very decimals of the new store, which has none yet: a store is
    often made again because its decimals were damaged. What is half built is removed.
    """
    if (old / INDEX_NAME).is_dir() and not (new / INDEX_NAME).exists():
        try:
            manifest = read_index_manifest(old / INDEX_NAME, "")
            same = manifest.decimals_sha256 == read_manifest(new).summary.sha256
        except StoreDamaged:
            same = False
        if same:
            (old / INDEX_NAME).rename(new / INDEX_NAME)
    for name in (INDEX_NAME, WORK_NAME, OLD_NAME):
        remove_tree(old / name)
    (old / LOCK_NAME).unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder of index files of ours; anything else in it is left, and the folder too."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and entry.name.startswith("shard-"):
            remove_tree(entry)
        elif _is_ours(entry.name):
            entry.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _is_ours(name: str) -> bool:
    stem = name.removesuffix(".tmp")
    return stem in {
        MANIFEST_NAME,
        CODER_NAME,
        FAISS_NAME,
        LISTS_NAME,
        WORK_DOCUMENT,
    } or (stem.startswith("part-") and name.endswith((".bin", ".tmp")))
