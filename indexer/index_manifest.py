"""The manifest of an index, and the names of its files.

    STORE/index/manifest.json    which decimals, and what proves the other files; written last
    STORE/index/coder.npz        projection and codebooks
    STORE/index/index.faiss      codebooks and the directory of lists; FAISS reads it
    STORE/index/lists.bin        codes and ids

It holds nothing that differs from run to run, so the same decimals, corpus and seed give the same
bytes in every file.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.checksums import FileRecord, LargeRecord, read_large_record, read_record
from indexer.constants import MAX_DIGITS, MIN_DIGITS
from indexer.documents import read_document, write_document
from indexer.errors import StoreForeign

MANIFEST_NAME = "manifest.json"
CODER_NAME = "coder.npz"
FAISS_NAME = "index.faiss"
LISTS_NAME = "lists.bin"
_FORMAT = "pilogo-index"
VERSION = 3
# The major version of FAISS whose file form we know.
FAISS_MAJOR = 1


@dataclass(frozen=True)
class IndexManifest:
    """An index: the decimals it is of, and what proves its files.

    faiss is the version that wrote index.faiss, directory_at the byte in it where the directory of
    lists begins.
    """

    n: int
    decimals_sha256: str
    faiss: str
    directory_at: int
    coder: FileRecord
    index: FileRecord
    lists: LargeRecord

    @property
    def build(self) -> str:
        """A hash of all that decides the files' bytes."""
        facts = [VERSION, self.n, self.decimals_sha256, self.coder.sha256]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def to_document(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        return {
            "format": _FORMAT,
            "version": VERSION,
            "n": self.n,
            "decimals_sha256": self.decimals_sha256,
            "faiss": self.faiss,
            "directory_at": self.directory_at,
            CODER_NAME: self.coder.to_document(),
            FAISS_NAME: self.index.to_document(),
            LISTS_NAME: self.lists.to_document(),
        }


def read_index_manifest(folder: Path, remedy: str) -> IndexManifest:
    """The manifest of an index's folder; StoreDamaged where it is missing or doubtful.

    remedy is the command that mends an index; with --replace it puts another in its place.
    """
    replacing = f"{remedy} --replace"
    fields = read_document(folder / MANIFEST_NAME, _FORMAT, VERSION, remedy, replacing)
    index = read_record(fields, FAISS_NAME)
    faiss = fields.text("faiss")
    if faiss.split(".")[0] != str(FAISS_MAJOR):
        raise StoreForeign(
            f"{folder / FAISS_NAME} was written by FAISS {faiss[:40]!r}; this pilogo reads "
            f"FAISS {FAISS_MAJOR}; next: {replacing}"
        )
    return IndexManifest(
        fields.integer("n", MIN_DIGITS, MAX_DIGITS),
        fields.sha256("decimals_sha256"),
        faiss,
        fields.integer("directory_at", 1, index.n_bytes),
        read_record(fields, CODER_NAME),
        index,
        read_large_record(fields, LISTS_NAME),
    )


def write_index_manifest(folder: Path, manifest: IndexManifest) -> None:
    """Write the manifest, synced, last of all files."""
    write_document(folder / MANIFEST_NAME, manifest.to_document())
