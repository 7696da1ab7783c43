"""The manifests of an index and of its shards.

    STORE/index/manifest.json                  which decimals, which shards, which codebooks
    STORE/index/coder.npz                      projection and codebooks, shared by all shards
    STORE/index/shard-000000000000000/         named after its first window's start
        manifest.json                          which windows, and what proves both files
        index.faiss                            codebooks and the directory of lists; FAISS reads it
        lists.bin                              codes and ids

Manifests hold nothing that differs from run to run, so the same decimals, corpus and seed give the
same bytes in every file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.checksums import FileRecord, LargeRecord, read_large_record, read_record
from indexer.constants import MAX_DIGITS, MIN_DIGITS
from indexer.documents import read_document, write_document
from indexer.errors import StoreForeign
from indexer.window import count_windows

MANIFEST_NAME = "manifest.json"
CODER_NAME = "coder.npz"
FAISS_NAME = "index.faiss"
LISTS_NAME = "lists.bin"
_FORMAT = "pilogo-index"
_SHARD_FORMAT = "pilogo-index-shard"
VERSION = 2
MOST_SHARDS = 512
# The major version of FAISS whose file form we know.
FAISS_MAJOR = 1


@dataclass(frozen=True)
class ShardManifest:
    """Windows [first_start, first_start + n_windows) and the two files that hold them.

    directory_at is the byte in index.faiss where the directory of lists begins; faiss the version
    that wrote it.
    """

    build: str
    first_start: int
    n_windows: int
    directory_at: int
    faiss: str
    index: FileRecord
    lists: LargeRecord

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
            "faiss": self.faiss,
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


def read_shard_manifest(folder: Path, remedy: str) -> ShardManifest:
    """The manifest of a shard's folder; StoreDamaged where it is missing or doubtful."""
    fields = read_document(
        folder / MANIFEST_NAME, _SHARD_FORMAT, VERSION, remedy, f"{remedy} --replace"
    )
    index = read_record(fields, FAISS_NAME)
    faiss = fields.text("faiss")
    if faiss.split(".")[0] != str(FAISS_MAJOR):
        raise StoreForeign(
            f"{folder / FAISS_NAME} was written by FAISS {faiss[:40]!r}; this pilogo reads "
            f"FAISS {FAISS_MAJOR}; next: {remedy} --replace"
        )
    return ShardManifest(
        fields.sha256("build"),
        fields.integer("first_start", 0, MAX_DIGITS),
        fields.integer("n_windows", 1, MAX_DIGITS),
        fields.integer("directory_at", 1, index.n_bytes),
        faiss,
        index,
        read_large_record(fields, LISTS_NAME),
    )


def read_index_manifest(folder: Path, remedy: str) -> IndexManifest:
    """The manifest of an index's folder; StoreDamaged where it is missing or doubtful.

    Shards must follow each other without gap or overlap, and together cover the n decimals.
    """
    fields = read_document(folder / MANIFEST_NAME, _FORMAT, VERSION, remedy)
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
        read_record(fields, CODER_NAME),
        tuple(shards),
    )


def write_shard_manifest(folder: Path, manifest: ShardManifest) -> None:
    """Write a shard's manifest, synced, last of its files."""
    write_document(folder / MANIFEST_NAME, manifest.to_document())


def write_index_manifest(folder: Path, manifest: IndexManifest) -> None:
    """Write the index's manifest, synced, last of all files."""
    write_document(folder / MANIFEST_NAME, manifest.to_document())
